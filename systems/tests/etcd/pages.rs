//! The pages of etcd that the project ships.

use squall_systems::SystemSpec;

#[test]
fn each_shipped_page_is_right_short_and_named_like_its_file() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"));
    for name in ["etcd-3.5.1", "etcd-3.4.23"] {
        let path = format!("{dir}/{name}.toml");
        let spec = SystemSpec::read(path.as_ref()).unwrap();
        assert_eq!(spec.name, name);
        assert!(spec.connect(Default::default()).is_ok());
        assert!(spec.tells_its_leader());
        assert!(!spec.claims.append && !spec.claims.dedup, "etcd has no sessions");
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 30, "{name} has {lines} lines");
    }
}
