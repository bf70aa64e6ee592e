//! Which blocks of a configuration look back over a window.

use serde_json::Value;

use super::kinds::Windows;
use super::{Reader, SLIDING, not_run};

impl Reader<'_> {
    /// Tokens that blocks look back over, where that is less than the context, and by block whether it does; nothing where
    /// all do.
    pub(super) fn windows(
        &self,
        blocks: usize,
        context: usize,
    ) -> Result<(Option<usize>, Vec<bool>), String> {
        let rule = self.kind.windows;
        let asked = self.flag("use_sliding_window")?;
        let said = match (rule, self.config.contains_key("sliding_window")) {
            (_, true) => self.whole("sliding_window")?,
            (Windows::All(usual), false) => usual,
            (Windows::But(_, usual), false) => Some(usual),
            (Windows::From | Windows::Asked, false) => Some(4096),
            (Windows::None, false) => None,
        };
        let window = match rule {
            Windows::None => {
                said.filter(|_| self.value("use_sliding_window") != Some(&false.into()))
            }
            Windows::All(_) | Windows::But(..) => said,
            Windows::From | Windows::Asked => said.filter(|_| asked),
        };
        let types = self.value("layer_types").and_then(Value::as_array);
        let sliding: Option<Vec<bool>> =
            types.map(|types| types.iter().map(|of| *of == SLIDING).collect());
        let other = || not_run("layer_types", &types.cloned().unwrap_or_default().into());
        if types.is_some_and(|types| types.len() != blocks) {
            return Err(other());
        }
        let Some(window) = window else {
            return match sliding {
                Some(sliding) if sliding.contains(&true) => Err(other()),
                // Its blocks differ in more than what they look back over.
                _ if matches!(rule, Windows::But(..)) => {
                    Err(not_run("sliding_window", &Value::Null))
                }
                _ => Ok((None, Vec::new())),
            };
        };
        // Blocks whose angles differ are told apart even where no window counts.
        let by_angles = self.kind.reads.contains(&"rope_local_base_freq");
        if window >= context && !by_angles {
            return Ok((None, Vec::new()));
        }
        let window = window.min(context);
        // Types count where the class reads them.
        let local: Vec<bool> = match (rule, sliding) {
            (Windows::None, _) => return Err(not_run("sliding_window", &window.into())),
            (Windows::All(_) | Windows::Asked, Some(sliding)) if sliding.contains(&false) => {
                return Err(other());
            }
            (Windows::All(_) | Windows::Asked, _) => vec![true; blocks],
            (_, Some(sliding)) => sliding,
            (Windows::From, None) => {
                let full = self.whole("max_window_layers")?.unwrap_or(28);
                (0..blocks).map(|block| block >= full).collect()
            }
            (Windows::But(every, _), None) => {
                let pattern = "sliding_window_pattern";
                let every = match self.kind.reads.contains(&pattern) {
                    true => self.whole(pattern)?.unwrap_or(every),
                    false => every,
                };
                if every == 0 {
                    return Err(not_run(pattern, &every.into()));
                }
                (0..blocks)
                    .map(|block| !(block + 1).is_multiple_of(every))
                    .collect()
            }
        };
        if !local.contains(&true) {
            return Ok((None, Vec::new()));
        }
        // Of angles of their own all are told apart.
        if !local.contains(&false) && !by_angles {
            return Ok((Some(window), Vec::new()));
        }
        Ok((Some(window), local))
    }
}
