//! The fewest elements of a list that still do: delta debugging (Zeller & Hildebrandt 2002), by complements.

/// Returns a sublist for which `still` holds and from which no single element can be left out, as far as `still` says.
///
/// `still` holds for the whole list; it is asked about nonempty and empty sublists in the list's order.
pub(super) fn fewest<T: Clone>(whole: &[T], mut still: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = whole.to_vec();
    if !kept.is_empty() && still(&[]) {
        return Vec::new();
    }
    let mut chunk = kept.len().div_ceil(2);
    while chunk > 0 && !kept.is_empty() {
        let mut at = 0;
        let mut smaller = false;
        while at < kept.len() && kept.len() > 1 {
            let end = (at + chunk).min(kept.len());
            let without: Vec<T> = kept[..at].iter().chain(&kept[end..]).cloned().collect();
            if !without.is_empty() && still(&without) {
                kept = without;
                smaller = true;
            } else {
                at = end;
            }
        }
        chunk = match (chunk, smaller) {
            // Single elements are tried again as long as one of them goes.
            (1, true) => 1,
            (1, false) => 0,
            (larger, _) => larger.div_ceil(2),
        };
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::fewest;

    #[test]
    fn the_elements_that_are_needed_together_are_found() {
        let whole: Vec<u32> = (0..20).collect();
        let mut asked = 0;
        let kept = fewest(&whole, |list| {
            asked += 1;
            list.contains(&3) && list.contains(&17)
        });
        assert_eq!(kept, [3, 17]);
        assert!(asked < 40, "{asked} questions");
    }

    #[test]
    fn one_or_none_may_be_enough_and_all_may_be_needed() {
        let whole = [1, 2, 3, 4];
        assert_eq!(fewest(&whole, |list| list.contains(&2)), [2]);
        assert_eq!(fewest(&whole, |_| true), Vec::<i32>::new());
        assert_eq!(fewest(&whole, |list| list.len() == 4), whole);
        assert_eq!(fewest::<i32>(&[], |_| true), Vec::<i32>::new());
    }
}
