//! The charts: a group of bars for each workload, a bar for each contender, with the quartiles as
//! whiskers.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::measure::{Cell, Quartiles, Row};
use crate::report::Report;

type Drawn = Result<(), Box<dyn Error + Send + Sync>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A chart: its file, what it says, which rows it shows, and how.
struct Chart {
    file: &'static str,
    title: &'static str,
    shows: fn(chapter: &str, row: &Row) -> bool,
    what: fn(&Cell) -> Quartiles,
    scale: Scale,
}

enum Scale {
    Linear,
    /// For what differs by orders of magnitude.
    Logarithmic,
}

const CHARTS: [Chart; 4] = [
    Chart {
        file: "echo.svg",
        title: "Servers: processor time per message, ratio to raw epoll (less is better)",
        shows: |_, row| row.name.ends_with(": processor time"),
        what: |cell| cell.ratio,
        scale: Scale::Linear,
    },
    Chart {
        file: "around.svg",
        title: "Around the call: ratio to raw epoll, logarithmic (less is better)",
        shows: |chapter, _| ["Wakes", "Timeouts"].contains(&chapter),
        what: |cell| cell.ratio,
        scale: Scale::Logarithmic,
    },
    Chart {
        file: "instructions.svg",
        title: "User instructions of a server per echoed message, logarithmic (less is better)",
        shows: |_, row| row.unit == "instructions" && !row.name.starts_with("LTO"),
        what: |cell| cell.value,
        scale: Scale::Logarithmic,
    },
    Chart {
        file: "datagrams.svg",
        title: "UDP: nanoseconds per datagram, sent and received, by length of the run, logarithmic",
        shows: |_, row| row.name.starts_with("by length"),
        what: |cell| cell.value,
        scale: Scale::Logarithmic,
    },
];

/// Draws all charts for which there are rows.
pub fn draw(report: &Report, folder: &Path) -> Drawn {
    for chart in &CHARTS {
        let rows = report.chapters.iter().flat_map(|chapter| {
            let shown = chapter
                .rows
                .iter()
                .filter(|row| (chart.shows)(&chapter.title, row));
            shown.collect::<Vec<_>>()
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            chart.draw(&rows, &folder.join(chart.file))?;
        }
    }
    Ok(())
}

const WIDTH: i32 = 900;
const TOP: i32 = 44;
const LABELS: i32 = 360; // their width
const VALUES: i32 = 60; // room behind the longest bar
const BAR: i32 = 13;
const GAP: i32 = 12; // between groups

impl Chart {
    fn draw(&self, rows: &[&Row], file: &Path) -> Drawn {
        let bars: usize = rows.iter().map(|row| row.cells.len()).sum();
        let height = TOP + bars as i32 * BAR + rows.len() as i32 * GAP;
        let area = SVGBackend::new(file, (WIDTH as u32, height as u32)).into_drawing_area();
        area.fill(&WHITE)?;
        text(&area, (WIDTH / 2, 20), self.title, 16, HPos::Center)?;

        // Scaled by the medians: where the machine was disturbed, a whisker ends with the chart.
        let medians = rows.iter().flat_map(|row| &row.cells);
        let medians = medians.map(|cell| (self.what)(cell).median);
        let longest = medians.clone().fold(0.0, f64::max) * 1.1;
        let shortest = medians.fold(longest, f64::min).max(0.001);
        let position = |value: f64| {
            let value = value.min(longest);
            let part = match self.scale {
                Scale::Linear => value / longest,
                // The shortest bar is still seen.
                Scale::Logarithmic => {
                    let start = shortest / 2.0;
                    (value.max(start) / start).ln() / (longest / start).ln()
                }
            };
            LABELS + (part * f64::from(WIDTH - LABELS - VALUES)) as i32
        };

        let mut y = TOP;
        for row in rows {
            let middle = y + row.cells.len() as i32 * BAR / 2;
            let name = row.name.trim_end_matches(": processor time");
            text(&area, (LABELS - 115, middle), name, 12, HPos::Right)?;
            for cell in &row.cells {
                self.bar(&area, y, cell, &position)?;
                y += BAR;
            }
            y += GAP;
        }
        Ok(area.present()?)
    }

    fn bar(&self, area: &Area<'_>, y: i32, cell: &Cell, position: &dyn Fn(f64) -> i32) -> Drawn {
        let Quartiles { low, median, high } = (self.what)(cell);
        let (end, middle) = (position(median), y + BAR / 2);
        text(area, (LABELS - 5, middle), &cell.who, 10, HPos::Right)?;
        let corners = [(LABELS, y + 1), (end, y + BAR - 1)];
        area.draw(&Rectangle::new(corners, color(&cell.who).filled()))?;
        let whisker = [(position(low), middle), (position(high), middle)];
        area.draw(&PathElement::new(whisker, BLACK.stroke_width(1)))?;
        let digits = match median {
            100.0.. => 0,
            10.0.. => 1,
            0.1.. => 2,
            _ => 3,
        };
        let value = format!("{median:.digits$}");
        text(
            area,
            (position(high).max(end) + 4, middle),
            &value,
            10,
            HPos::Left,
        )
    }
}

fn text(area: &Area<'_>, at: (i32, i32), text: &str, size: i32, side: HPos) -> Drawn {
    let style = ("sans-serif", size).into_text_style(area);
    let style = style.pos(Pos::new(side, VPos::Center)).color(&BLACK);
    Ok(area.draw_text(text, &style, at)?)
}

/// A contender has the same colour in every chart.
fn color(who: &str) -> RGBColor {
    match who {
        "Litio" | "litio" => RGBColor(214, 69, 51),
        "mio" => RGBColor(64, 110, 180),
        "polling" => RGBColor(96, 160, 100),
        "tokio" => RGBColor(140, 100, 170),
        "libuv" => RGBColor(190, 140, 60),
        who if who.starts_with("litio") => RGBColor(226, 130, 110),
        who if who.starts_with("quinn") => RGBColor(100, 150, 200),
        _ => RGBColor(150, 150, 150), // the limit
    }
}
