//! Tables that fit a terminal of 80 columns, without a break inside a word.

use std::fmt::Display;

use crate::log::Plain;

const WIDTH: usize = 80;
const GAP: &str = "  ";
const INDENT: &str = "    ";

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A row of a table, and lines that belong to it. Their text may be from anywhere; it is escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row<const N: usize> {
    pub(super) cells: [String; N],
    pub(super) lines: Vec<String>,
}

/// The table. A first cell that is too wide stands on a line of its own, and so does each of the lines
/// that belong to a row, indented.
pub(super) fn table<const N: usize>(columns: [(&str, Align); N], rows: &[Row<N>]) -> String {
    let mut all = vec![columns.map(|(head, _)| head.to_owned())];
    all.extend(rows.iter().map(|row| row.cells.clone().map(plain)));
    let widths: [usize; N] =
        std::array::from_fn(|at| all.iter().map(|row| width(&row[at])).max().unwrap_or(0));
    let others: usize = widths.iter().skip(1).map(|width| GAP.len() + width).sum();
    let limit = WIDTH.saturating_sub(others);
    let fits = all.iter().map(|row| width(&row[0]));
    let first = fits.filter(|width| *width <= limit).max().unwrap_or(0);
    let mut text = String::new();
    for (index, mut cells) in all.into_iter().enumerate() {
        if width(&cells[0]) > first {
            text += &format!("{}\n", std::mem::take(&mut cells[0]));
        }
        let line = cells.iter().enumerate().map(|(at, cell)| {
            let width = if at == 0 { first } else { widths[at] };
            match columns[at].1 {
                Align::Left => format!("{cell:width$}"),
                Align::Right => format!("{cell:>width$}"),
            }
        });
        let line = line.collect::<Vec<_>>().join(GAP);
        text += &format!("{}\n", line.trim_end());
        let lines = index.checked_sub(1).map(|index| rows[index].lines.iter());
        text.extend(lines.into_iter().flatten().map(|line| wrapped(line)));
    }
    text
}

/// The words of a text, in indented lines. A word that is longer than a line has one of its own.
pub(super) fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in plain(text.into()).split(' ') {
        if !line.is_empty() {
            if INDENT.len() + width(&line) + 1 + width(word) <= WIDTH {
                line.push(' ');
            } else {
                lines += &format!("{INDENT}{line}\n");
                line.clear();
            }
        }
        line += word;
    }
    lines + &format!("{INDENT}{line}\n")
}

/// The texts of values.
pub(super) fn texts(values: &[impl Display]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn plain(text: String) -> String {
    Plain(&text).to_string()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [(&str, Align); 3] = [
        ("NAME", Align::Left),
        ("NOW", Align::Right),
        ("STATE", Align::Left),
    ];

    fn row(cells: [&str; 3], lines: &[&str]) -> Row<3> {
        Row {
            cells: cells.map(str::to_owned),
            lines: lines.iter().map(|line| line.to_string()).collect(),
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            row(["greeter", "3", "active"], &["runs: /bin/cat"]),
            row(["b", "1000", "-"], &[]),
        ];
        assert_eq!(
            table(COLUMNS, &rows),
            "NAME      NOW  STATE\n\
             greeter     3  active\n    runs: /bin/cat\n\
             b        1000  -\n"
        );
    }

    #[test]
    fn what_does_not_fit_has_a_line_of_its_own_and_no_word_is_broken() {
        let long = "n".repeat(70);
        let words = vec!["word"; 40].join(" ");
        let one = "w".repeat(90);
        let text = table(
            COLUMNS,
            &[
                row([&long, "3", "active"], &[&words, &format!("a {one} b")]),
                row(["b", "1", "-"], &[]),
            ],
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "NAME  NOW  STATE");
        assert_eq!(lines[1..3], [long.as_str(), "        3  active"]);
        for line in &lines {
            assert!(line.len() <= 80 || line.trim() == one, "{line}");
        }
        assert_eq!(text.matches(" word").count(), 40);
        assert!(text.contains(&format!("    a\n    {one}\n    b\n")));
    }

    #[test]
    fn control_characters_are_escaped() {
        let text = table(COLUMNS, &[row(["\x1b[2J", "1", "\n"], &["\r"])]);
        assert!(!text.contains(['\x1b', '\r']), "{text:?}");
        assert_eq!(text.lines().count(), 3);
    }
}
