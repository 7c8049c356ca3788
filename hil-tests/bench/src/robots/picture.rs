//! The figures as a picture: who was answered in time, what an answer took, what the box held in memory.

use miette::Result;
use plotters::prelude::{Circle, IntoDrawingArea, PathElement, SVGBackend};
use plotters::style::text_anchor::HPos;
use plotters::style::{Color, RGBColor};

use super::findings::{Found, Row};
use super::turn::{Figures, Phase};
use crate::peers::picture::{Area, GRID, INK, OURS, QUIET, WHITE, failed, write};

/// Robots that ask in step, beside [`OURS`] for those that are spread.
const IN_STEP: RGBColor = RGBColor(234, 88, 12);

const WIDTH: i32 = 960;
const MARGIN: i32 = 24;
const LEFT: i32 = 84;
const RIGHT: i32 = WIDTH - 200;
/// Of a panel: title, axis, and what is written below it.
const HEAD: i32 = 34;
const BODY: i32 = 150;
const FOOT: i32 = 40;
/// How much of its colour a curve beside the others has.
const FAINT: f64 = 0.6;

/// One curve for each phase.
struct Panel {
    title: &'static str,
    curves: Vec<Curve>,
    axis: Axis,
    unit: &'static str,
}

/// From bottom to top.
#[derive(Clone, Copy)]
enum Axis {
    Even {
        bottom: f64,
        top: f64,
    },
    /// Powers of ten.
    Decades {
        bottom: i32,
        top: i32,
    },
}

struct Curve {
    name: String,
    color: RGBColor,
    /// Faint: a figure beside the one that the panel is about.
    beside: bool,
    points: Vec<(u16, f64)>,
}

pub(crate) fn draw(found: &Found) -> Result<String> {
    let mut sizes: Vec<u16> = found.rows.iter().map(|row| row.robots).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let panels = panels(found);
    let count = i32::try_from(panels.len()).unwrap_or(0);
    let height = 2 * MARGIN + count * (HEAD + BODY + FOOT);
    let mut svg = String::new();
    {
        let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let mut top = MARGIN;
        for panel in &panels {
            panel.draw(&area, top, &sizes)?;
            top += HEAD + BODY + FOOT;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn panels(found: &Found) -> Vec<Panel> {
    let both = |name: &str, beside: bool, figure: fn(&Figures) -> f64| {
        Phase::ALL.map(|phase| {
            let rows: Vec<&Row> = found.rows.iter().filter(|row| row.phase == phase).collect();
            Curve {
                name: format!("{name}{phase}"),
                color: if phase == Phase::Spread { OURS } else { IN_STEP },
                beside,
                points: rows.iter().map(|row| (row.robots, row.spread(figure).median)).collect(),
            }
        })
    };
    let shares = both("", false, |round| round.robots.on_time_share * 100.0);
    let models = both("by the model, ", true, |round| round.robots.model_share * 100.0);
    let workers = both("worker, ", false, |round| round.worker_us);
    let wholes = both("whole box, CPU, ", true, |round| round.cpu_us);
    let memory = both("", false, |round| round.memory_mib);
    let panel = |title, curves: Vec<Curve>, unit, axis: fn(f64, f64) -> Axis| {
        let values = || curves.iter().flat_map(|curve| curve.points.iter().map(|(_, value)| *value));
        let axis = axis(values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        Panel { title, curves, axis, unit }
    };
    vec![
        panel(
            "Answered within 10 ms, of all observations",
            shares.into_iter().chain(models).collect(),
            "%",
            shares_axis,
        ),
        panel(
            "What an answer takes of the worker and of the CPU",
            workers.into_iter().chain(wholes).collect(),
            "µs",
            decades,
        ),
        panel("Memory of the box", memory.into(), "MiB", from_nothing),
    ]
}

/// Shares are looked at from near, where they allow it.
fn shares_axis(least: f64, _: f64) -> Axis {
    Axis::Even { bottom: (least.min(99.9) / 20.0).floor() * 20.0, top: 100.0 }
}

fn from_nothing(_: f64, most: f64) -> Axis {
    let decade = 10_f64.powf(most.max(1e-3).log10().floor());
    let round = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].map(|step| step * decade).into_iter().find(|round| *round >= most);
    Axis::Even { bottom: 0.0, top: round.unwrap_or(most) }
}

#[allow(clippy::cast_possible_truncation, reason = "the exponents of microseconds")]
fn decades(least: f64, most: f64) -> Axis {
    let bottom = least.max(1e-3).log10().floor() as i32;
    Axis::Decades { bottom, top: (most.max(1e-3).log10().ceil() as i32).max(bottom + 1) }
}

impl Axis {
    fn marks(self) -> Vec<f64> {
        match self {
            Self::Even { bottom, top } => (0..=4).map(|part| bottom + (top - bottom) * f64::from(part) / 4.0).collect(),
            Self::Decades { bottom, top } => (bottom..=top).map(|exponent| 10_f64.powi(exponent)).collect(),
        }
    }

    /// Between 0 and 1.
    fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Even { bottom, top } => (value - bottom) / (top - bottom),
            Self::Decades { bottom, top } => (value.log10() - f64::from(bottom)) / f64::from(top - bottom),
        };
        place.clamp(0.0, 1.0)
    }
}

impl Panel {
    fn draw(&self, area: &Area<'_>, top: i32, sizes: &[u16]) -> Result<()> {
        write(area, self.title, (MARGIN, top + 8), 16, INK, HPos::Left)?;
        let body = top + HEAD;
        for value in self.axis.marks() {
            let y = self.height(body, value);
            area.draw(&PathElement::new(vec![(LEFT, y), (RIGHT, y)], GRID.stroke_width(1))).map_err(failed)?;
            write(area, &format!("{} {}", short(value), self.unit), (LEFT - 10, y), 12, QUIET, HPos::Right)?;
        }
        for size in sizes {
            let x = across(sizes, *size);
            let names = if *size == 1 { "1 robot".to_owned() } else { size.to_string() };
            write(area, &names, (x, body + BODY + 16), 12, QUIET, HPos::Center)?;
        }
        for curve in &self.curves {
            let color = curve.color.mix(if curve.beside { FAINT } else { 1.0 });
            let points: Vec<(i32, i32)> =
                curve.points.iter().map(|(size, value)| (across(sizes, *size), self.height(body, *value))).collect();
            let width = if curve.beside { 1 } else { 2 };
            area.draw(&PathElement::new(points.clone(), color.stroke_width(width))).map_err(failed)?;
            for point in points {
                area.draw(&Circle::new(point, 3, color.filled())).map_err(failed)?;
            }
        }
        self.name(area, body)
    }

    /// A legend to the right: names at the ends of curves would lie upon each other.
    fn name(&self, area: &Area<'_>, body: i32) -> Result<()> {
        for (place, curve) in (0_i32..).zip(&self.curves) {
            let y = body + 8 + 20 * place;
            let color = curve.color.mix(if curve.beside { FAINT } else { 1.0 });
            let width = if curve.beside { 1 } else { 2 };
            let line = PathElement::new(vec![(RIGHT + 16, y), (RIGHT + 36, y)], color.stroke_width(width));
            area.draw(&line).map_err(failed)?;
            write(area, &curve.name, (RIGHT + 42, y), 12, INK, HPos::Left)?;
        }
        Ok(())
    }

    #[allow(clippy::cast_possible_truncation, reason = "pixels of the picture")]
    fn height(&self, body: i32, value: f64) -> i32 {
        body + BODY - (f64::from(BODY) * self.axis.place(value)).round() as i32
    }
}

/// Each size is as far from the next as any other: they double.
fn across(sizes: &[u16], size: u16) -> i32 {
    let place = i32::try_from(sizes.iter().position(|known| *known == size).unwrap_or(0)).unwrap_or(0);
    let last = i32::try_from(sizes.len()).unwrap_or(1).max(2) - 1;
    LEFT + 24 + (RIGHT - LEFT - 48) * place / last
}

fn short(value: f64) -> String {
    if value >= 10.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
