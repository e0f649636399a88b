//! Which known name was meant by an unknown one.

/// Returns the known name that is nearest to a word, if one is near enough to have been meant.
///
/// Near enough is a third of the longer name mistyped, or a name of which the word is the beginning.
///
/// ```
/// use squall_history::nearest;
///
/// assert_eq!(nearest("regsiter", ["register", "kv"]), Some("register"));
/// assert_eq!(nearest("fifo", ["register", "fifo-queue"]), Some("fifo-queue"));
/// assert_eq!(nearest("bank", ["register", "kv"]), None);
/// ```
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = word.to_lowercase();
    known
        .into_iter()
        .filter_map(|name| distance(&wanted, name).map(|distance| (distance, name)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Returns how many letters are wrong, if few enough are.
fn distance(word: &str, name: &str) -> Option<usize> {
    let lowered = name.to_lowercase();
    let wrong = strsim::damerau_levenshtein(word, &lowered);
    let longer = word.chars().count().max(lowered.chars().count());
    let begins = word.chars().count() >= 2 && lowered.starts_with(word);
    (wrong <= (longer / 3).max(1) || begins).then_some(wrong)
}

/// Returns the end of a message about an unknown name: the nearest one, or else all of them.
pub(crate) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(name) => format!("; did you mean {name:?}?"),
        None => format!("; known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_several_near_names_is_meant() {
        assert_eq!(nearest("register", ["registry", "registers", "regis"]), Some("registers"));
        assert_eq!(nearest("KILL", ["kill", "pause"]), Some("kill"));
    }

    #[test]
    fn a_word_that_resembles_nothing_means_nothing() {
        assert_eq!(nearest("", ["kill", "pause"]), None);
        assert_eq!(nearest("membership", ["kill", "pause"]), None);
        assert_eq!(nearest("kill", []), None);
    }
}
