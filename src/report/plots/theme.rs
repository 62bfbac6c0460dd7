//! Colours: one role, two themes.
//!
//! The series are told apart by people with any of the common colour deficiencies (after Okabe and Ito,
//! "Color Universal Design", 2008, darkened for a white page and lightened for a black one), and never by
//! colour alone: shapes and dashes say the same. No two roles share a light colour, so that a colour in
//! the drawing names its role.

use plotters::style::RGBColor;

/// What a colour is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Surface,
    Ink,
    Muted,
    Grid,
    Blue,
    Vermilion,
    Green,
    Purple,
    Ochre,
    Teal,
    Alert,
}

/// A colour as red, green and blue.
type Rgb = (u8, u8, u8);

/// Every role: its CSS variable, its light and its dark colour.
const ROLES: [(Role, &str, Rgb, Rgb); 11] = [
    (Role::Surface, "--plot-surface", (0xff, 0xff, 0xff), (0x16, 0x1b, 0x22)),
    (Role::Ink, "--plot-ink", (0x1f, 0x23, 0x28), (0xe6, 0xed, 0xf3)),
    (Role::Muted, "--plot-muted", (0x59, 0x63, 0x6e), (0x9d, 0xa7, 0xb3)),
    (Role::Grid, "--plot-grid", (0xe3, 0xe7, 0xeb), (0x2b, 0x32, 0x3b)),
    (Role::Blue, "--plot-blue", (0x00, 0x66, 0xae), (0x58, 0xb2, 0xf0)),
    (Role::Vermilion, "--plot-vermilion", (0xc2, 0x4a, 0x00), (0xff, 0x95, 0x57)),
    (Role::Green, "--plot-green", (0x00, 0x7d, 0x5a), (0x3c, 0xc8, 0x9b)),
    (Role::Purple, "--plot-purple", (0x9a, 0x45, 0x8b), (0xe3, 0x9b, 0xd3)),
    (Role::Ochre, "--plot-ochre", (0x8a, 0x67, 0x00), (0xe8, 0xc4, 0x47)),
    (Role::Teal, "--plot-teal", (0x1d, 0x74, 0x80), (0x5c, 0xc9, 0xd6)),
    (Role::Alert, "--plot-alert", (0xb3, 0x1d, 0x28), (0xff, 0x7b, 0x72)),
];

/// Colours of series, in the order they are given out.
pub(super) const SERIES: [Role; 6] = [Role::Vermilion, Role::Blue, Role::Green, Role::Purple, Role::Ochre, Role::Teal];

impl Role {
    fn entry(self) -> &'static (Self, &'static str, Rgb, Rgb) {
        ROLES.iter().find(|(role, ..)| *role == self).unwrap_or(&ROLES[0])
    }

    /// Its colour in the drawing, which is that of the light theme.
    pub fn light(self) -> RGBColor {
        let (_, _, (red, green, blue), _) = *self.entry();
        RGBColor(red, green, blue)
    }

    /// The same as SVG text.
    pub fn hex(self) -> String {
        hex(self.entry().2)
    }
}

/// As plotters writes colours.
fn hex((red, green, blue): Rgb) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// The drawing with every colour as a CSS variable, for a page that defines them. Colours stand between
/// quotes, and text in the drawing holds none (they are escaped), so that only colours are replaced.
pub(super) fn with_variables(svg: &str) -> String {
    ROLES.iter().fold(svg.to_owned(), |svg, (_, variable, light, _)| {
        svg.replace(&format!("\"{}\"", hex(*light)), &format!("\"var({variable})\""))
    })
}

/// A style sheet that turns the drawing's light colours into dark ones where the reader prefers them.
pub(super) fn dark_style() -> String {
    let rules = ROLES.iter().map(|(_, _, light, dark)| {
        let (light, dark) = (hex(*light), hex(*dark));
        format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
    });
    format!("@media (prefers-color-scheme:dark){{{}}}", rules.collect::<String>())
}

/// Declarations of every colour's CSS variable: the light ones, and the dark ones.
pub fn css_variables() -> (String, String) {
    let declare = |of: fn(&(Role, &str, Rgb, Rgb)) -> Rgb| -> String {
        ROLES.iter().map(|entry| format!("{}:{};", entry.1, hex(of(entry)))).collect()
    };
    (declare(|entry| entry.2), declare(|entry| entry.3))
}
