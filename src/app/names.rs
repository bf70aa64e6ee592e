//! Names in less room than they need: without their maker, then shortened in the middle.

use egui::{Color32, FontId, Ui};

/// A name as it fits into a width, with an ellipsis in its middle where it is too long.
pub(super) fn fitted(ui: &Ui, name: &str, font: &FontId, width: f32) -> String {
    shortened(name, |text| {
        let galley =
            ui.painter()
                .layout_no_wrap(text.to_owned(), font.clone(), Color32::PLACEHOLDER);
        galley.size().x <= width
    })
}

/// The longest form of a name that fits. What stands in brackets goes first, then the maker, then the middle, of which more is kept of the end than of
/// the beginning: devices of a family differ in their last words.
fn shortened(name: &str, fits: impl Fn(&str) -> bool) -> String {
    if fits(name) {
        return name.to_owned();
    }
    let (count, device) = match name.split_once(" × ") {
        Some((count, device)) => (format!("{count} × "), device),
        None => (String::new(), name),
    };
    // What stands in brackets says more about a device that the rest has named already.
    let plain = device.split(" (").next().unwrap_or(device);
    let named = format!("{count}{plain}…");
    if plain.len() < device.len() && fits(&named) {
        return named;
    }
    // A word with digits is a type, not a maker.
    let rest = match device.split_once(' ') {
        Some((maker, rest)) if !maker.contains(|c: char| c.is_ascii_digit()) => {
            let text = format!("{count}…{rest}");
            if fits(&text) {
                return text;
            }
            let bare = rest.split(" (").next().unwrap_or(rest);
            let text = format!("{count}…{bare}…");
            if bare.len() < rest.len() && fits(&text) {
                return text;
            }
            rest
        }
        _ => device,
    };
    let letters: Vec<char> = rest.chars().collect();
    let of_length = |kept: usize| -> String {
        let head = kept / 3;
        let tail = letters.len() - (kept - head);
        let text = |part: &[char]| part.iter().collect::<String>();
        format!(
            "{count}{}…{}",
            text(&letters[..head]).trim_end(),
            text(&letters[tail..]).trim_start()
        )
    };
    // The longest that fits lies between these.
    let (mut fitting, mut too_long) = (0, letters.len());
    while too_long - fitting > 1 {
        let middle = usize::midpoint(fitting, too_long);
        if fits(&of_length(middle)) {
            fitting = middle;
        } else {
            too_long = middle;
        }
    }
    of_length(fitting)
}

#[cfg(test)]
mod tests {
    use super::shortened;
    use std::collections::HashSet;
    use wattif_core::hardware;

    #[test]
    fn a_name_keeps_its_end_and_never_grows() {
        let fit = |most: usize| {
            let text = shortened("NVIDIA Jetson AGX Orin 64 GB", |t| {
                t.chars().count() <= most
            });
            assert!(text.chars().count() <= most.max(1), "{text}");
            text
        };
        assert_eq!(fit(40), "NVIDIA Jetson AGX Orin 64 GB");
        assert_eq!(fit(22), "…Jetson AGX Orin 64 GB");
        assert_eq!(fit(16), "Jetso…Orin 64 GB");
        assert_eq!(
            shortened("Graphcore GC200 IPU (MK2)", |t| t.chars().count() <= 13),
            "…GC200 IPU…"
        );
        assert_eq!(fit(1), "…");
        assert_eq!(fit(0), "…");
    }

    #[test]
    fn no_two_devices_look_the_same_where_there_is_room_for_sixteen_letters() {
        let all = hardware::catalogue().expect("the devices ship with the program");
        for most in [16, 20, 24, 30] {
            let names: HashSet<String> = all
                .iter()
                .map(|target| shortened(&target.name, |text| text.chars().count() <= most))
                .collect();
            assert_eq!(names.len(), all.len(), "in {most} letters");
        }
    }
}
