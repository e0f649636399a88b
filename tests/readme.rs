//! README's console blocks say what squall prints.

#[test]
fn the_console_blocks_of_the_readme_are_true() {
    trycmd::TestCases::new().case("README.md");
}
