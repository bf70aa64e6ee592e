//! Rows of one projection to queries, keys and values that lie by heads of keys.

/// Rows by heads of keys: some heads of queries, one of keys and one of values, then the same of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grouping {
    pub(crate) groups: usize,
    /// Heads of queries in one.
    pub(crate) queries: usize,
    /// Rows of a head.
    pub(crate) width: usize,
}

impl Grouping {
    /// The head of queries, keys and values that a head of the file is.
    pub(in crate::weights) fn head(self, head: usize) -> usize {
        let (group, slot) = (head / (self.queries + 2), head % (self.queries + 2));
        let heads = self.groups * self.queries;
        match slot.checked_sub(self.queries) {
            None => group * self.queries + slot,
            Some(0) => heads + group,
            Some(_) => heads + self.groups + group,
        }
    }

    /// The row of the file that is a row of queries, keys and values.
    pub(super) fn row(self, row: usize) -> usize {
        let Self {
            groups,
            queries,
            width,
        } = self;
        let (head, within) = (row / width.max(1), row % width.max(1));
        let (group, slot) = match head.checked_sub(groups * queries) {
            None => (head / queries, head % queries),
            Some(key) if key < groups => (key, queries),
            Some(value) => (value - groups, queries + 1),
        };
        (group * (queries + 2) + slot) * width + within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_by_heads_are_each_once_and_come_back() {
        for (groups, queries, width) in [(2, 3, 2), (4, 1, 3), (1, 5, 1), (3, 2, 4)] {
            let grouping = Grouping {
                groups,
                queries,
                width,
            };
            let rows = groups * (queries + 2) * width;
            let mut seen = vec![false; rows];
            for row in 0..rows {
                let there = grouping.row(row);
                assert!(!std::mem::replace(&mut seen[there], true));
                let back = grouping.head(there / width) * width + there % width;
                assert_eq!(back, row);
            }
            // The first key lies behind the queries of its group.
            assert_eq!(grouping.row(groups * queries * width), queries * width);
        }
    }
}
