//! The colours of a portal's own, made readable.

use std::fmt;

/// A colour of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Color([u8; 3]);

/// Contrast that text needs (WCAG 2.2, 1.4.3).
const ENOUGH: f64 = 4.5;

/// Backgrounds that links stand on, the least favourable of each theme.
const LIGHT: Color = Color([0xf3, 0xf5, 0xf8]);
const DARK: Color = Color([0x1a, 0x21, 0x2b]);
const WHITE: Color = Color([0xff; 3]);
const BLACK: Color = Color([0x0d, 0x11, 0x17]);

impl Color {
    /// What a portal has that says nothing of colours.
    pub(crate) const DEFAULT: Color = Color([0x0a, 0x5f, 0xd6]);

    /// Reads `#0a5fd6`.
    pub(crate) fn parse(text: &str) -> Option<Color> {
        let is_hex = |digits: &&str| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digits = text.strip_prefix('#').filter(is_hex)?;
        let part = |from: usize| u8::from_str_radix(&digits[from..from + 2], 16).ok();
        Some(Color([part(0)?, part(2)?, part(4)?]))
    }

    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0;
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    fn contrast(self, other: Color) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// A step towards another colour.
    fn towards(self, other: Color) -> Color {
        let mix = |one: u8, other: u8| {
            let mixed = (u16::from(one) * 9 + u16::from(other)) / 10;
            // It arrives.
            u8::try_from(mixed).unwrap_or(other)
        };
        let [red, green, blue] = self.0;
        Color([mix(red, other.0[0]), mix(green, other.0[1]), mix(blue, other.0[2])])
    }

    /// The nearest colour that can be read on a background.
    fn readable_on(self, background: Color) -> Color {
        let goal = if background.luminance() > 0.5 { Color([0; 3]) } else { WHITE };
        let mut color = self;
        for _ in 0..40 {
            if color.contrast(background) >= ENOUGH {
                return color;
            }
            color = color.towards(goal);
        }
        goal
    }

    /// What text on this colour is written in.
    fn ink(self) -> Color {
        if self.contrast(WHITE) >= ENOUGH { WHITE } else { BLACK }
    }

    /// The nearest colour on which text can be read that is white or nearly black.
    fn filled(self) -> Color {
        if self.contrast(BLACK) >= ENOUGH { self } else { self.readable_on(WHITE) }
    }

    /// The style sheet with a portal's own colours.
    pub(crate) fn sheet(self) -> String {
        let (light, dark) = (self.readable_on(LIGHT), self.readable_on(DARK));
        // A button has to stand out from a dark page.
        let fill = self.filled();
        let raised = if fill.contrast(BLACK) < 3.0 { dark.filled() } else { fill };
        format!(
            ":root{{--brand:{fill};--brand-text:{};--link:{light}}}\n\
             @media(prefers-color-scheme:dark){{:root{{--brand:{raised};--brand-text:{};--link:{dark}}}}}\n",
            fill.ink(),
            raised.ink(),
        )
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_colour_becomes_readable() {
        for text in ["#000000", "#ffffff", "#ffff00", "#0a5fd6", "#f2a900", "#777777", "#00ff00", "#800080"] {
            let color = Color::parse(text).unwrap();
            for background in [LIGHT, DARK] {
                assert!(color.readable_on(background).contrast(background) >= ENOUGH, "{text} on {background}");
            }
            let fill = color.filled();
            assert!(fill.contrast(fill.ink()) >= ENOUGH, "{text}: {fill}");
        }
        assert_eq!(Color::DEFAULT.readable_on(LIGHT), Color::DEFAULT, "what reads is left alone");
    }

    #[test]
    fn nonsense_is_no_colour() {
        for text in ["", "#12345", "#1234567", "0a5fd6", "#0a5fdx", "#äöü", "#+1+1+1"] {
            assert_eq!(Color::parse(text), None, "{text}");
        }
    }
}
