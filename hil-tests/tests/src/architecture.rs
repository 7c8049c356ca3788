//! Which crate may use which: the table in `runtime/ARCHITECTURE.md`, compared with what cargo says.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, Package};

/// Each workspace crate's normal dependencies, by package name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table(BTreeMap<String, BTreeSet<String>>);

const HEADER: [&str; 2] = ["crate", "may use"];

impl Table {
    /// The table with the header `| crate | may use |` in a Markdown text. Names stand in backticks; what stands
    /// outside them is for the reader.
    ///
    /// # Panics
    /// If there is no such table, or a crate stands in it twice.
    #[must_use]
    pub fn read(markdown: &str) -> Self {
        let mut lines = markdown.lines().map(cells).skip_while(|row| *row != HEADER).skip(2);
        let rows = lines.by_ref().take_while(|row| row.len() >= HEADER.len());
        let mut table = BTreeMap::new();
        for row in rows {
            let mut names = names(&row[0]);
            let name = names.pop_first().unwrap_or_else(|| panic!("no crate in backticks in {row:?}"));
            let twice = table.insert(name, self::names(&row[1]));
            assert!(twice.is_none(), "{row:?} is there twice");
        }
        assert!(!table.is_empty(), "there is no table with the header | crate | may use |");
        Self(table)
    }

    /// What cargo says of the workspace.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let crates = metadata.workspace_packages().into_iter();
        Self(crates.map(|package| (package.name.to_string(), dependencies(package))).collect())
    }
}

/// Each edge and each crate that one has and the other has not, in words.
#[must_use]
pub fn differences(declared: &Table, found: &Table) -> Vec<String> {
    let mut differences = Vec::new();
    let names: BTreeSet<_> = declared.0.keys().chain(found.0.keys()).collect();
    for name in names {
        match (declared.0.get(name), found.0.get(name)) {
            (Some(may), Some(does)) => {
                differences.extend(does.difference(may).map(|other| format!("{name} uses {other} and may not")));
                differences.extend(may.difference(does).map(|other| format!("{name} may use {other} and does not")));
            }
            (Some(_), None) => differences.push(format!("{name} is in the table and not in the workspace")),
            (None, _) => differences.push(format!("{name} is in the workspace and not in the table")),
        }
    }
    differences
}

fn dependencies(package: &Package) -> BTreeSet<String> {
    let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.map(|dependency| dependency.name.clone()).collect()
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    if line.trim().starts_with('|') { inner.split('|').map(|cell| cell.trim().to_owned()).collect() } else { vec![] }
}

fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
A page.

| crate | may use |
|---|---|
| `engine` | `message`, `heapless` |
| `message` | `crc`: a table, no code |
| `manifest` | – |

| crate | what |
|---|---|
| `more` | `x` |
";

    #[test]
    fn a_table_is_read_out_of_its_page() {
        let Table(table) = Table::read(TEXT);
        let names: Vec<_> = table.keys().map(String::as_str).collect();
        assert_eq!(names, ["engine", "manifest", "message"]);
        assert_eq!(table["engine"], BTreeSet::from(["heapless", "message"].map(str::to_owned)));
        assert_eq!(table["message"], BTreeSet::from(["crc".to_owned()]));
        assert_eq!(table["manifest"], BTreeSet::new());
    }

    #[test]
    fn every_difference_is_named() {
        let declared = Table::read(TEXT);
        let other = TEXT.replace("`heapless`", "`std`").replace("`manifest`", "`other`");
        assert_eq!(
            differences(&declared, &Table::read(&other)),
            [
                "engine uses std and may not",
                "engine may use heapless and does not",
                "manifest is in the table and not in the workspace",
                "other is in the workspace and not in the table",
            ]
        );
        assert_eq!(differences(&declared, &declared), [""; 0]);
    }
}
