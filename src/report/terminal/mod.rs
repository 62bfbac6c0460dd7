//! The report as text, for the end of a run and for machines without a browser. Nothing here prints: the
//! caller does, and knows how wide the terminal is and whether it shows colours.

pub mod claims;
mod roofline;

use anstyle::{AnsiColor, Style as Ansi};
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, presets};

use super::number::decimals;
use super::view::{DeviceView, Drawn, Level, Notice, ResultView, View};

/// Whether text carries colours, as ANSI sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// No sequence at all.
    Plain,
    /// Colours, bold and dim.
    Colour,
}

/// Which characters a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signs {
    /// Lines, Braille dots, `±`.
    Unicode,
    /// ASCII only.
    Ascii,
}

/// The terminal to write for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Columns; `None` for as many as the text needs.
    pub width: Option<usize>,
    /// Characters.
    pub signs: Signs,
    /// Colours.
    pub style: Style,
}

impl Terminal {
    /// For a file or a pipe: no limit, no colours.
    pub const UNLIMITED: Self = Self { width: None, signs: Signs::Unicode, style: Style::Plain };

    /// Text in the characters of this terminal.
    fn text(&self, text: &str) -> String {
        match self.signs {
            Signs::Unicode => text.to_owned(),
            Signs::Ascii => text.chars().map(ascii).collect(),
        }
    }

    fn styled(&self, style: Ansi, text: &str) -> String {
        match self.style {
            Style::Colour if !text.is_empty() => format!("{style}{text}{style:#}"),
            _ => text.to_owned(),
        }
    }

    /// Lines no longer than the terminal is wide, the first indented by `first`, all others by `rest`.
    fn wrapped(&self, text: &str, first: usize, rest: usize) -> Vec<String> {
        let width = self.width.unwrap_or(100).max(rest + 20);
        let (mut lines, mut line, mut empty) = (Vec::new(), " ".repeat(first), true);
        for word in self.text(text).split_whitespace() {
            if !empty && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::replace(&mut line, " ".repeat(rest)));
                empty = true;
            }
            line.push_str(if empty { "" } else { " " });
            line.push_str(word);
            empty = false;
        }
        lines.push(line);
        lines
    }
}

/// The nearest ASCII of a character.
fn ascii(c: char) -> &'static str {
    const ASCII: &str =
        " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";
    match c {
        '\n' => "\n",
        '±' => "+-",
        '×' => "x",
        'µ' | 'μ' => "u",
        '→' => "->",
        '←' => "<-",
        '✗' => "x",
        '·' | '•' => "*",
        '…' => "...",
        '³' => "^3",
        '\u{a0}' => "\u{a0}",
        '°' => "deg ",
        '–' | '—' => "-",
        '’' => "'",
        c => ASCII.find(c).map_or("?", |at| &ASCII[at..=at]),
    }
}

const BOLD: Ansi = Ansi::new().bold();
const DIM: Ansi = Ansi::new().dimmed();

fn level_style(level: Level) -> Ansi {
    match level {
        Level::Fault => AnsiColor::Red.on_default().bold(),
        Level::Caution => AnsiColor::Yellow.on_default(),
        Level::Note => AnsiColor::Cyan.on_default(),
    }
}

/// What `run` says at its end: verdict, table of cases, roofline, warnings with what to do.
pub fn summary(view: &View, terminal: &Terminal) -> String {
    let mut parts: Vec<String> = watermark(view, terminal).into_iter().collect();
    for device in &view.devices {
        parts.push(verdict(device, terminal));
        parts.extend(cases(device, terminal));
        parts.extend(device.plots.iter().find_map(|plot| match &plot.drawn {
            Drawn::Roofline(data) => Some(roofline::draw(data, terminal)),
            _ => None,
        }));
    }
    parts.extend(warnings(&view.notices, terminal));
    parts.extend(watermark(view, terminal));
    parts.join("\n\n") + "\n"
}

/// Verdict and table of cases, with the warnings and without the roofline: what `show` prints.
pub fn table(view: &View, terminal: &Terminal) -> String {
    let mut parts: Vec<String> = watermark(view, terminal).into_iter().collect();
    for device in &view.devices {
        parts.push(verdict(device, terminal));
        parts.extend(cases(device, terminal));
    }
    parts.extend(warnings(&view.notices, terminal));
    parts.join("\n\n") + "\n"
}

fn watermark(view: &View, terminal: &Terminal) -> Option<String> {
    let text = format!("*** {} ***", view.watermark.as_ref()?);
    Some(terminal.styled(level_style(Level::Fault), &terminal.text(&text)))
}

fn verdict(device: &DeviceView, terminal: &Terminal) -> String {
    let mut lines = Vec::new();
    for (index, sentence) in device.verdict.iter().enumerate() {
        let style = if index == 0 { BOLD } else { Ansi::new() };
        lines.extend(terminal.wrapped(sentence, 0, 0).iter().map(|line| terminal.styled(style, line)));
    }
    lines.join("\n")
}

/// Every case with its median, half-width, share of the roof and flags.
fn cases(device: &DeviceView, terminal: &Terminal) -> Option<String> {
    let shared = device
        .benchmarks
        .iter()
        .flat_map(|part| &part.cases)
        .any(|case| case.result.as_ref().is_some_and(|result| result.share.is_some()));
    let mut table = Table::new();
    let rule = if terminal.signs == Signs::Unicode { '─' } else { '-' };
    table.load_style(presets::NOTHING.header_separator(LineStyle::new(rule, rule, rule, rule)));
    if let Some(width) = terminal.width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.clamp(40, 500) as u16);
    }
    let plus_minus = terminal.text("±");
    let mut heads = vec!["Benchmark", "Case", "Median", &plus_minus, "Unit"];
    heads.extend(shared.then_some("Of roof"));
    heads.push(FLAGS);
    let columns = heads.len();
    table.set_header(heads);
    let widest = |of: fn(&ResultView) -> &String| {
        let results = device.benchmarks.iter().flat_map(|part| &part.cases).filter_map(|case| case.result.as_ref());
        results.map(|result| decimals(of(result))).max().unwrap_or(0)
    };
    let (value_decimals, half_decimals) = (widest(|result| &result.value), widest(|result| &result.half));
    for part in &device.benchmarks {
        for (index, case) in part.cases.iter().enumerate() {
            let result = case.result.as_ref();
            let number = |text: Option<&String>| {
                Cell::new(terminal.text(text.map_or("", |text| text))).set_alignment(CellAlignment::Right)
            };
            let mut cells = vec![
                Cell::new(terminal.text(if index == 0 { &part.id } else { "" })),
                Cell::new(terminal.text(&case.label)),
            ];
            cells.push(number(result.map(|result| aligned(&result.value, value_decimals)).as_ref()));
            cells.push(number(result.map(|result| aligned(&result.half, half_decimals)).as_ref()));
            cells.push(Cell::new(terminal.text(result.map_or("", |result| &result.unit))));
            if shared {
                cells.push(number(result.and_then(|result| result.share.as_ref())));
            }
            let flags =
                case.badges.iter().map(|badge| format!("{} {}", badge.level.symbol(), badge.text).replace(' ', FIXED));
            let flags: Vec<String> = flags.collect();
            cells.push(Cell::new(terminal.text(&flags.join(", "))));
            table.add_row(cells);
        }
    }
    (!table.is_empty()).then(|| coloured(&table, columns, terminal))
}

const FLAGS: &str = "Flags";

/// A space at which the table does not break a line; an ordinary one once it is laid out.
const FIXED: &str = "\u{a0}";

/// A number with spaces for the decimals it has fewer than others of its column, so that points align.
fn aligned(number: &str, most: usize) -> String {
    let missing = match (decimals(number), most) {
        (own, most) if own == most => 0,
        (0, most) => most + 1,
        (own, most) => most - own,
    };
    format!("{number}{}", FIXED.repeat(missing))
}

/// The table's text with its head in bold and its last column in the colour of the flag that stands there.
/// Colours are put in after layout, which counts every character.
fn coloured(table: &Table, columns: usize, terminal: &Terminal) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.replace(FIXED, " ").trim_end().to_owned()).collect();
    let head = lines.iter().position(|line| line.trim_end().ends_with(FLAGS));
    let Some((head, at)) = head.and_then(|head| Some((head, lines[head].chars().count().checked_sub(FLAGS.len())?)))
    else {
        return lines.join("\n");
    };
    debug_assert!(columns > 1, "the flags are not alone");
    let mut level = Level::Note;
    let coloured = lines.iter().enumerate().map(|(index, line)| {
        let (start, flags): (String, String) = (line.chars().take(at).collect(), line.chars().skip(at).collect());
        for candidate in [Level::Fault, Level::Caution, Level::Note] {
            if flags.starts_with(&format!("{} ", terminal.text(candidate.symbol()))) {
                level = candidate;
            }
        }
        match index {
            index if index == head => terminal.styled(BOLD, line),
            index if index < head || !line.chars().any(char::is_alphanumeric) => terminal.styled(DIM, line),
            _ => format!("{start}{}", terminal.styled(level_style(level), &flags)),
        }
    });
    coloured.collect::<Vec<_>>().join("\n")
}

/// Cases of a notice named in the text; the report names all.
const NAMED: usize = 4;

/// The notices, worst first, each with what to do.
fn warnings(notices: &[Notice], terminal: &Terminal) -> Option<String> {
    if notices.is_empty() {
        return None;
    }
    let mut lines = Vec::new();
    for notice in notices {
        let head = format!("{} {}:", terminal.text(notice.level.symbol()), notice.level.word());
        let device = notice.device.as_ref().map(|device| format!("{device}: ")).unwrap_or_default();
        let text = format!("{head} {device}{}", notice.what.replace('`', ""));
        let wrapped = terminal.wrapped(&text, 0, 2);
        let first = wrapped.first().and_then(|line| line.strip_prefix(&head)).unwrap_or_default();
        lines.push(format!("{}{first}", terminal.styled(level_style(notice.level), &head)));
        lines.extend(wrapped.iter().skip(1).cloned());
        for case in notice.cases.iter().take(NAMED) {
            let detail = case.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            lines.extend(terminal.wrapped(&format!("{}{detail}", case.key), 4, 6));
        }
        if notice.cases.len() > NAMED {
            lines.push(format!("    and {} more", notice.cases.len() - NAMED));
        }
        if !notice.action.is_empty() {
            lines.extend(terminal.wrapped(&format!("→ {}", notice.action.replace('`', "'")), 2, 4));
        }
    }
    Some(lines.join("\n"))
}
