//! The figures as a picture: round trips alone, the control client in a flood, and beside a heavy neighbour.

use std::fmt::Display;

use miette::{Result, miette};
use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, IntoDrawingArea, PathElement, Rectangle, SVGBackend, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle};

use super::contestant::Contestant;
use super::figures::Summary;
use super::findings::{Found, Row};
use super::scene::Scene;

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(crate) const INK: RGBColor = RGBColor(31, 41, 55);
pub(crate) const QUIET: RGBColor = RGBColor(107, 114, 128);
pub(crate) const GRID: RGBColor = RGBColor(229, 231, 235);
pub(crate) const OURS: RGBColor = RGBColor(37, 99, 235);
const THEIRS: RGBColor = RGBColor(148, 163, 184);
const NONE: RGBColor = RGBColor(220, 38, 38);
pub(crate) const WHITE: RGBColor = RGBColor(255, 255, 255);

const WIDTH: i32 = 960;
const MARGIN: i32 = 24;
/// Where the names end and the bars begin.
const LEFT: i32 = 270;
const RIGHT: i32 = WIDTH - 90;
const ROW: i32 = 24;
/// Above a panel's first row: its title and what its axis says.
const HEAD: i32 = 62;
const GAP: i32 = 22;

/// The decades that round trips are in.
const TIMES_US: [f64; 5] = [10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];

pub(crate) fn draw(found: &Found) -> Result<String> {
    let panels: Vec<Panel<'_>> = [
        times(found, Scene::Idle, "Alone: round trip, p50 to p99, of a small policy asked again and again"),
        shares(found),
        goodputs(found),
        times(
            found,
            Scene::Neighbour,
            "Beside a heavy neighbour: round trip, p50 to p99, of the same policy at 100 Hz",
        ),
    ]
    .into_iter()
    .filter(|panel| !panel.rows.is_empty())
    .collect();
    let height = panels.iter().map(|panel| panel.height() + GAP).sum::<i32>() + 2 * MARGIN;
    let mut svg = String::new();
    {
        let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let mut top = MARGIN;
        for panel in &panels {
            panel.draw(&area, top)?;
            top += panel.height() + GAP;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Bars under each other, one a contestant.
struct Panel<'a> {
    title: &'a str,
    /// Places of its axis and what is written there.
    ticks: Vec<(f64, String)>,
    rows: Vec<Vec<Bar>>,
    names: Vec<(&'static str, bool)>,
}

struct Bar {
    /// Of the axis' length.
    from: f64,
    to: f64,
    color: RGBColor,
    shade: f64,
    says: String,
}

fn times<'a>(found: &Found, scene: Scene, title: &'a str) -> Panel<'a> {
    let rows: Vec<&Row> = rows(found, scene).collect();
    let bars = rows.iter().map(|row| {
        let Summary { p50_us, p99_us, .. } = row.control;
        let Some(p50) = p50_us else { return Vec::new() };
        let Some(p99) = p99_us else {
            let says = format!("{} µs, too few for p99", round(p50.median));
            return vec![Bar { from: place(p50.median), to: place(p50.median), color: color(row), shade: 1.0, says }];
        };
        let says = format!("{} – {} µs", round(p50.median), round(p99.median));
        vec![Bar { from: place(p50.median), to: place(p99.median), color: color(row), shade: 1.0, says }]
    });
    let ticks =
        TIMES_US.iter().map(|us| (place(*us), if *us < 1e3 { format!("{us} µs") } else { format!("{} ms", us / 1e3) }));
    Panel { title, ticks: ticks.collect(), rows: bars.collect(), names: rows.iter().map(|row| name(row)).collect() }
}

const FLOODS: [(Scene, &str, f64); 3] =
    [(Scene::Flood1x, "1x", 0.45), (Scene::Flood2x, "2x", 0.7), (Scene::Flood5x, "5x", 1.0)];

/// Three bars a contestant: 1x, 2x and 5x.
fn shares(found: &Found) -> Panel<'static> {
    let first: Vec<&Row> = rows(found, Scene::Flood5x).collect();
    let bars = first.iter().map(|row| {
        let rows = FLOODS.iter().filter_map(|(scene, name, shade)| {
            let share = found.row(row.contestant, *scene)?.control.model_share.median;
            let says = format!("{name}: {:.1} %", share * 100.0);
            Some(Bar { from: 0.0, to: share, color: color(row), shade: *shade, says })
        });
        rows.collect()
    });
    Panel {
        title: "In a flood of 1x, 2x and 5x of what a worker can do: the 100 Hz client's requests that the model answered in 10 ms",
        ticks: [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| (share, format!("{} %", share * 100.0))).into(),
        rows: bars.collect(),
        names: first.iter().map(|row| name(row)).collect(),
    }
}

/// The same for what the flood itself gets.
fn goodputs(found: &Found) -> Panel<'static> {
    let first: Vec<&Row> = rows(found, Scene::Flood5x).collect();
    let capacity_hz = found.conditions.capacity.dense_hz;
    let bars = first.iter().map(|row| {
        let rows = FLOODS.iter().filter_map(|(scene, name, shade)| {
            let goodput_hz = found.row(row.contestant, *scene)?.load?.goodput_hz.median;
            let says = format!("{name}: {goodput_hz:.0}");
            Some(Bar { from: 0.0, to: goodput_hz / capacity_hz, color: color(row), shade: *shade, says })
        });
        rows.collect()
    });
    Panel {
        title: "In the same floods: the flood's own requests that the model answered in 100 ms, a second, beside the worker's capacity",
        ticks: [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| (share, format!("{:.0}", share * capacity_hz))).into(),
        rows: bars.collect(),
        names: first.iter().map(|row| name(row)).collect(),
    }
}

fn rows(found: &Found, scene: Scene) -> impl Iterator<Item = &Row> {
    Contestant::ALL.into_iter().filter_map(move |contestant| found.row(contestant, scene))
}

fn name(row: &Row) -> (&'static str, bool) {
    (row.contestant.what(), row.contestant.is_genba())
}

fn color(row: &Row) -> RGBColor {
    if row.contestant.is_genba() { OURS } else { THEIRS }
}

/// On the logarithmic axis of round trips.
fn place(us: f64) -> f64 {
    let decades = (TIMES_US[TIMES_US.len() - 1] / TIMES_US[0]).log10();
    ((us / TIMES_US[0]).log10() / decades).clamp(0.0, 1.0)
}

/// Two digits say enough.
fn round(us: f64) -> String {
    if us >= 1_000.0 { format!("{:.0}", (us / 100.0).round() * 100.0) } else { format!("{us:.0}") }
}

impl Panel<'_> {
    fn row_height(&self) -> i32 {
        let bars = self.rows.iter().map(Vec::len).max().unwrap_or(1);
        ROW + 14 * (i32::try_from(bars).unwrap_or(1).max(1) - 1)
    }

    fn height(&self) -> i32 {
        HEAD + self.row_height() * i32::try_from(self.rows.len()).unwrap_or(0)
    }

    fn draw(&self, area: &Area<'_>, top: i32) -> Result<()> {
        write(area, self.title, (MARGIN, top + 8), 16, INK, HPos::Left)?;
        let bottom = top + self.height();
        for (place, text) in &self.ticks {
            let x = across(*place);
            let line = PathElement::new(vec![(x, top + HEAD - 8), (x, bottom)], GRID.stroke_width(1));
            area.draw(&line).map_err(failed)?;
            write(area, text, (x, top + HEAD - 20), 12, QUIET, HPos::Center)?;
        }
        let mut row_top = top + HEAD;
        for (bars, (name, ours)) in self.rows.iter().zip(&self.names) {
            let ink = if *ours { OURS } else { INK };
            write(area, name, (LEFT - 14, row_top + self.row_height() / 2), 14, ink, HPos::Right)?;
            let mut middle = row_top + self.row_height() / 2 - 7 * (i32::try_from(bars.len()).unwrap_or(1) - 1);
            for bar in bars {
                bar.draw(area, middle, if bars.len() > 1 { 5 } else { 7 })?;
                middle += 14;
            }
            row_top += self.row_height();
        }
        Ok(())
    }
}

impl Bar {
    fn draw(&self, area: &Area<'_>, middle: i32, half: i32) -> Result<()> {
        let (from, to) = (across(self.from), across(self.to).max(across(self.from) + 2));
        // A bar of nothing is a mark that can be seen.
        let color = if self.to <= 0.005 { NONE } else { self.color };
        let corners = [(from, middle - half), (to, middle + half)];
        area.draw(&Rectangle::new(corners, color.mix(self.shade).filled())).map_err(failed)?;
        write(area, &self.says, (to + 6, middle), 12, INK, HPos::Left)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "pixels of the picture")]
fn across(place: f64) -> i32 {
    LEFT + (f64::from(RIGHT - LEFT) * place).round() as i32
}

pub(crate) fn write(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    size: u32,
    color: RGBColor,
    across: HPos,
) -> Result<()> {
    let font = FontDesc::new(FontFamily::SansSerif, f64::from(size), FontStyle::Normal);
    let style = TextStyle::from(font).color(&color).pos(Pos::new(across, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style)).map_err(failed)
}

pub(crate) fn failed(error: impl Display) -> miette::Report {
    miette!("cannot draw: {error}")
}
