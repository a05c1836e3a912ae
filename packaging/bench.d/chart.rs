//! The chart of connections per second, as SVG. Its colours are visible on light and dark backgrounds, and it uses the
//! default font of the viewer.

use std::fmt::Write as _;
use std::io::Read;

use anyhow::{Context, bail};

/// The chart shows the results with this many clients.
const CLIENTS: &str = "8";
const COLOURS: [&str; 2] = ["#2f81f7", "#db7a1c"];
/// For text and lines: halfway between white and black.
const GREY: &str = "#7a7f87";

const WIDTH: f64 = 860.0;
/// Where the bars begin and where the axis ends. The labels at the ends of the bars need the rest of the width.
const LEFT: f64 = 215.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 74.0;
const BAR: f64 = 13.0;
const GAP: f64 = 10.0;

/// A service in one of the runs.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    label: String,
    name: String,
    rate: f64,
    median: f64,
}

pub fn run() -> anyhow::Result<()> {
    let mut data = String::new();
    std::io::stdin().read_to_string(&mut data)?;
    print!("{}", draw(&read(&data)?)?);
    Ok(())
}

fn read(data: &str) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for line in data.lines() {
        let [label, clients, name, rate, median] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("not a line of hello --data: {line:?}");
        };
        if clients == CLIENTS {
            rows.push(Row {
                label: label.into(),
                name: name.into(),
                rate: rate.parse().with_context(|| line.to_owned())?,
                median: median.parse().with_context(|| line.to_owned())?,
            });
        }
    }
    Ok(rows)
}

fn draw(rows: &[Row]) -> anyhow::Result<String> {
    let mut labels: Vec<&str> = rows.iter().map(|row| row.label.as_str()).collect();
    labels.dedup();
    if labels.is_empty() || labels.len() > COLOURS.len() {
        bail!(
            "a chart needs one or two runs with {CLIENTS} clients, not {}",
            labels.len()
        );
    }
    // In the order of the first run, the fastest first.
    let mut first: Vec<&Row> = rows.iter().filter(|row| row.label == labels[0]).collect();
    first.sort_by(|a, b| b.rate.total_cmp(&a.rate));
    let rates = rows.iter().map(|row| row.rate);
    let from = rates
        .clone()
        .fold(f64::MAX, f64::min)
        .max(1.0)
        .log10()
        .floor();
    let to = rates.fold(0.0, f64::max).max(10.0).log10().ceil();
    let x = |rate: f64| LEFT + (rate.max(1.0).log10() - from) / (to - from) * (RIGHT - LEFT);
    let step = BAR * labels.len() as f64 + GAP;
    let bottom = TOP + step * first.len() as f64;

    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" font-family="sans-serif" font-size="13" fill="{GREY}">
<title>hello: connections per second with {CLIENTS} clients</title>
<text x="{LEFT}" y="20" font-size="15" font-weight="bold">hello: connections per second, and median time, with {CLIENTS} clients (log scale)</text>
"#,
        height = bottom + 30.0,
    );
    for (number, (label, colour)) in labels.iter().zip(COLOURS).enumerate() {
        let left = LEFT + 260.0 * number as f64;
        let _ = writeln!(
            svg,
            r#"<rect x="{left}" y="34" width="12" height="12" fill="{colour}"/><text x="{}" y="45">{}</text>"#,
            left + 18.0,
            escape(label),
        );
    }
    for exponent in from as i32..=to as i32 {
        let tick = 10f64.powi(exponent);
        let _ = writeln!(
            svg,
            r#"<path d="M{x:.1} {top}V{bottom:.1}" stroke="{GREY}" stroke-opacity=".4"/><text x="{x:.1}" y="{y:.1}" text-anchor="middle">{tick}</text>"#,
            x = x(tick),
            top = TOP - 8.0,
            y = bottom + 18.0,
            tick = grouped(tick),
        );
    }
    for (line, service) in first.iter().enumerate() {
        let top = TOP + step * line as f64;
        let _ = writeln!(
            svg,
            r#"<text x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 10.0,
            top + (step - GAP) / 2.0 + 4.5,
            escape(&service.name),
        );
        for (number, (label, colour)) in labels.iter().zip(COLOURS).enumerate() {
            let Some(row) = rows
                .iter()
                .find(|row| row.label == *label && row.name == service.name)
            else {
                continue;
            };
            let top = top + BAR * number as f64;
            let end = x(row.rate);
            let _ = writeln!(
                svg,
                r#"<rect x="{LEFT}" y="{:.1}" width="{:.1}" height="{}" fill="{colour}"/><text x="{:.1}" y="{:.1}" font-size="11">{} /s, {} ms</text>"#,
                top,
                end - LEFT,
                BAR - 1.0,
                end + 6.0,
                top + 10.0,
                grouped(row.rate),
                significant(row.median),
            );
        }
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// A whole number with a space before each group of three digits, if it has more than four digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 && digits.len() > 4 {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

fn significant(number: f64) -> String {
    match number {
        100.0.. => format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_eight_clients_are_drawn_with_escaped_text() {
        let data =
            "a & b\t1\tslow\t5\t2\na & b\t8\t<slow>\t50.5\t160.25\na & b\t8\tfast\t20000\t0.4\n";
        let rows = read(data).unwrap();
        assert_eq!(rows.len(), 2);
        let svg = draw(&rows).unwrap();
        assert!(
            svg.contains(">a &amp; b</text>") && svg.contains(">&lt;slow&gt;</text>"),
            "{svg}"
        );
        let (fast, slow) = (svg.find(">fast<").unwrap(), svg.find("slow&gt;").unwrap());
        assert!(fast < slow, "the fastest is first: {svg}");
        assert!(
            svg.contains(">20 000 /s, 0.40 ms<") && svg.contains(">50 /s, 160 ms<"),
            "{svg}"
        );
    }

    #[test]
    fn other_data_is_an_error() {
        assert!(read("one\ttwo\n").is_err());
        assert!(
            draw(&read("a\t1\tx\t5\t2\n").unwrap()).is_err(),
            "no result with 8 clients"
        );
    }
}
