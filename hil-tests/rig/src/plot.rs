//! The run in pictures: tracking error over time, the moments around the hang, round trips.

use std::fmt;
use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::coord::combinators::BindKeyPoints;
use plotters::prelude::{Cartesian2d, DrawingArea, IntoDrawingArea, IntoLogRange, PathElement, Rectangle, SVGBackend, Text};
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle};
use thiserror::Error;

use crate::recording::{MarkKind, Recording};
use crate::summary::ms;
use crate::verdict::GOAL_MM;

/// A drawing that failed.
#[derive(Debug, Error)]
#[error("cannot draw: {0}")]
pub struct PlotError(String);

/// All pictures under each other, as one SVG file.
///
/// # Errors
/// [`PlotError`] where the drawing library fails.
pub fn plot(recording: &Recording) -> Result<String, PlotError> {
    let parts: &[Part] = match recording.hang {
        Some(_) => &[tracking, hang, round_trips],
        None => &[tracking, round_trips],
    };
    let height = HEIGHT * u32::try_from(parts.len()).unwrap_or(1);
    draw((WIDTH, height), |area| {
        for (area, part) in area.split_evenly((parts.len(), 1)).iter().zip(parts) {
            part(area, recording)?;
        }
        Ok(())
    })
}

/// One picture each, for a page: what it shows, and the SVG element.
pub(crate) fn pictures(recording: &Recording) -> Result<Vec<(&'static str, String)>, PlotError> {
    let mut parts: Vec<(&str, Part)> = vec![("Tracking error", tracking)];
    if recording.hang.is_some() {
        parts.push(("While the model hangs", hang));
    }
    parts.push(("Round trips", round_trips));
    let pictures = parts.into_iter().map(|(name, part)| Ok((name, draw((WIDTH, HEIGHT), |area| part(area, recording))?)));
    pictures.collect()
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Part = fn(&Area<'_>, &Recording) -> Result<(), PlotError>;
type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const WIDTH: u32 = 960;
const HEIGHT: u32 = 330;

const INK: RGBColor = RGBColor(31, 41, 55);
const QUIET: RGBColor = RGBColor(107, 114, 128);
const GRID: RGBColor = RGBColor(229, 231, 235);
const MODEL: RGBColor = RGBColor(37, 99, 235);
const FALLBACK: RGBColor = RGBColor(217, 119, 6);
const DEADLINE: RGBColor = RGBColor(220, 38, 38);
const REFUSED: RGBColor = RGBColor(126, 34, 206);

fn draw(size: (u32, u32), fill: impl FnOnce(&Area<'_>) -> Result<(), PlotError>) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&RGBColor(255, 255, 255)).map_err(failed)?;
        fill(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// The whole run, by the largest error of each 10 ms.
fn tracking(area: &Area<'_>, recording: &Recording) -> Result<(), PlotError> {
    let whole = 0..recording.now_ms().max(1000);
    errors(area, recording, whole, 10, "Tool to part, mm: the largest of each 10 ms; time in s")
}

/// The moments around the hang, with every observation's error.
fn hang(area: &Area<'_>, recording: &Recording) -> Result<(), PlotError> {
    let Some(hang) = recording.hang else { return Ok(()) };
    let until_ms = hang.until_ms.unwrap_or(recording.now_ms()).min(hang.from_ms + 2000);
    let shown = hang.from_ms.saturating_sub(150)..until_ms + 350;
    errors(area, recording, shown, 2, "The same around the hang, every 2 ms")
}

fn errors(
    area: &Area<'_>,
    recording: &Recording,
    shown_ms: Range<u32>,
    span_ms: u32,
    title: &str,
) -> Result<(), PlotError> {
    let peaks: Vec<_> = recording
        .tracking
        .peaks_mm(span_ms)
        .into_iter()
        .filter(|(from_ms, _)| shown_ms.contains(from_ms))
        .map(|(from_ms, peak_mm)| (seconds(from_ms), peak_mm))
        .collect();
    let top = peaks.iter().map(|(_, peak)| *peak).fold(GOAL_MM, f64::max) * 1.15;
    let mut plane = builder(area, title)
        .build_cartesian_2d(seconds(shown_ms.start)..seconds(shown_ms.end), 0.0..top)
        .map_err(failed)?;
    if let Some(hang) = recording.hang {
        let until = hang.until_ms.unwrap_or(shown_ms.end).min(shown_ms.end);
        shade(&mut plane, seconds(hang.from_ms)..seconds(until), top)?;
    }
    mesh(&mut plane)?;
    let goal = vec![(seconds(shown_ms.start), GOAL_MM), (seconds(shown_ms.end), GOAL_MM)];
    plane.draw_series([PathElement::new(goal, QUIET.stroke_width(1))]).map_err(failed)?;
    plane
        .draw_series([label(
            (seconds(shown_ms.start), GOAL_MM),
            &format!("goal for the RMS: {GOAL_MM} mm"),
            QUIET,
            HPos::Left,
        )])
        .map_err(failed)?;
    plane.draw_series(LineSeries::new(peaks, MODEL.stroke_width(2))).map_err(failed)?;
    marks(&mut plane, recording, &shown_ms, top)
}

/// A tick for each answer that was not the model's, on the time axis.
fn marks(plane: &mut Plane<'_, '_>, recording: &Recording, shown_ms: &Range<u32>, top: f64) -> Result<(), PlotError> {
    let marks = recording.marks.iter().filter(|mark| shown_ms.contains(&mark.now_ms)).map(|mark| {
        let color = match mark.kind {
            MarkKind::Fallback(_) => FALLBACK,
            MarkKind::Refused(_) => REFUSED,
            MarkKind::Missed(_) => DEADLINE,
        };
        let at = seconds(mark.now_ms);
        PathElement::new(vec![(at, 0.0), (at, top * 0.08)], color.stroke_width(2))
    });
    plane.draw_series(marks).map_err(failed)?;
    Ok(())
}

fn shade(plane: &mut Plane<'_, '_>, span: Range<f64>, top: f64) -> Result<(), PlotError> {
    let (from, until) = (span.start, span.end);
    plane.draw_series([Rectangle::new([(from, 0.0), (until, top)], FALLBACK.mix(0.15).filled())]).map_err(failed)?;
    plane
        .draw_series([label((until, top), "the model hangs; ticks: fallbacks", FALLBACK, HPos::Left)])
        .map_err(failed)?;
    Ok(())
}

/// How many answers took how long, both on logarithmic axes.
fn round_trips(area: &Area<'_>, recording: &Recording) -> Result<(), PlotError> {
    let bars = recording.round_trips.bars();
    let deadline_ms = recording.deadline.as_secs_f64() * 1000.0;
    let from = bars.first().map_or(0.1, |bar| bar.from_us / 1000.0).min(0.1);
    let to = bars.last().map_or(1.0, |bar| bar.to_us / 1000.0).max(deadline_ms * 2.5);
    let highest = bars.iter().map(|bar| bar.model + bar.fallback).max().unwrap_or(1);
    let top = count(highest) * 3.0;
    let mut plane = builder(area, "Answers by round trip, ms; both axes logarithmic")
        .build_cartesian_2d((from..to).log_scale().with_key_points(ROUND_MS.to_vec()), (FLOOR..top).log_scale())
        .map_err(failed)?;
    plane
        .configure_mesh()
        .light_line_style(GRID.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(QUIET)
        .label_style(style(13, QUIET))
        .x_labels(12)
        .y_labels(6)
        .x_label_formatter(&plain)
        .y_label_formatter(&plain)
        .draw()
        .map_err(failed)?;
    let rectangle = |bar: (f64, f64), height: u64, color: RGBColor| {
        Rectangle::new([(bar.0, FLOOR), (bar.1, count(height).max(FLOOR))], color.filled())
    };
    for bar in &bars {
        let edges = (bar.from_us / 1000.0, bar.to_us / 1000.0 * 0.985);
        // the taller first, so that both can be seen
        let mut parts = [(bar.model, MODEL), (bar.fallback, FALLBACK)];
        parts.sort_by_key(|(height, _)| std::cmp::Reverse(*height));
        let drawn = parts.iter().filter(|(height, _)| *height > 0);
        plane.draw_series(drawn.map(|(height, color)| rectangle(edges, *height, *color))).map_err(failed)?;
    }
    let line = vec![(deadline_ms, FLOOR), (deadline_ms, top)];
    plane.draw_series([PathElement::new(line, DEADLINE.stroke_width(2))]).map_err(failed)?;
    let deadline_us = u64::try_from(recording.deadline.as_micros()).unwrap_or(u64::MAX);
    for (at, text, color, anchor) in [
        ((deadline_ms, top), format!("deadline {}", ms(deadline_us)), DEADLINE, HPos::Left),
        ((from, top), "the model's answers".to_owned(), MODEL, HPos::Left),
        ((from, top * 0.4), "fallbacks".to_owned(), FALLBACK, HPos::Left),
    ] {
        plane.draw_series([label(at, &text, color, anchor)]).map_err(failed)?;
    }
    Ok(())
}

/// What is written on the time axis.
const ROUND_MS: [f64; 12] = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// Below one answer, so that a bar of one can be seen.
const FLOOR: f64 = 0.5;

fn builder<'a, 'b>(area: &'a Area<'b>, title: &str) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(14).margin_right(24).x_label_area_size(28).y_label_area_size(52).caption(title, style(16, INK));
    builder
}

fn mesh(plane: &mut Plane<'_, '_>) -> Result<(), PlotError> {
    plane
        .configure_mesh()
        .light_line_style(GRID.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(QUIET)
        .label_style(style(13, QUIET))
        .x_labels(11)
        .y_labels(6)
        .draw()
        .map_err(failed)
}

/// A text below and beside this point.
fn label(at: (f64, f64), text: &str, color: RGBColor, anchor: HPos) -> Text<'static, (f64, f64), String> {
    Text::new(format!("\u{a0}{text}\u{a0}"), at, style(13, color).pos(Pos::new(anchor, VPos::Top)))
}

fn style(size: u32, color: RGBColor) -> TextStyle<'static> {
    FontDesc::new(FontFamily::SansSerif, f64::from(size), FontStyle::Normal).color(&color)
}

/// 0.1, 1, 10, 1000: no exponents, no trailing zeros.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the drawing library's signature")]
fn plain(value: &f64) -> String {
    format!("{value}")
}

fn seconds(ms: u32) -> f64 {
    f64::from(ms) / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "a bar's height in pixels")]
fn count(answers: u64) -> f64 {
    answers as f64
}

fn failed(error: impl fmt::Display) -> PlotError {
    PlotError(error.to_string())
}
