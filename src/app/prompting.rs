//! Texts after a prompt of the user's: what was asked for, what came of it, and whether that still holds.

use wattif_core::measurement::Example;
use wattif_core::recipe::Recipe;

use super::App;

/// What texts are of: the key of a recipe, and a prompt.
type Subject = (String, String);

/// The prompt, the texts under way and the last ones.
#[derive(Debug, Default)]
pub(super) struct Prompting {
    /// What was entered last; empty before that.
    prompt: String,
    /// What texts were asked for and have not come.
    asked: Option<Subject>,
    /// What was given up last.
    given_up: Option<Subject>,
    /// What failed, which is not tried again before the prompt is entered again.
    failed: Option<Subject>,
    /// What was written, and of which recipe.
    last: Option<(String, Example)>,
}

impl Prompting {
    /// Whether texts are being written.
    pub(super) fn is_running(&self) -> bool {
        self.asked.is_some()
    }

    /// Another prompt, or the same once more.
    fn enter(&mut self, prompt: String) {
        self.prompt = prompt;
        self.failed = None;
    }

    /// What is to be asked for, where the texts of a recipe are not there, nor under way, nor to be had.
    fn wanted(&self, recipe: &Recipe) -> Option<Subject> {
        let wanted = (recipe.key(), self.prompt.clone());
        let is_there = self.last.as_ref().is_some_and(|(key, text)| {
            *key == wanted.0 && matches!(text, Example::Text { prompt, .. } if *prompt == wanted.1)
        });
        let known = [&self.asked, &self.failed];
        let is_known = known.iter().any(|known| known.as_ref() == Some(&wanted));
        (!wanted.1.is_empty() && !is_there && !is_known).then_some(wanted)
    }

    /// What was asked for came, or was given up. An answer to what is not waited for any more changes nothing else.
    pub(super) fn arrived(&mut self, recipe: &Recipe, prompt: String, text: Option<Example>) {
        let subject = (recipe.key(), prompt);
        if self.asked.as_ref() == Some(&subject) {
            self.asked = None;
        }
        match text {
            Some(text) if self.prompt == subject.1 => self.last = Some((subject.0, text)),
            Some(_) => {}
            None => self.given_up = Some(subject),
        }
    }

    /// What was given up last failed, and was not only in the way of something newer.
    pub(super) fn failed(&mut self) {
        self.failed = self.given_up.take();
    }

    /// The last texts, and whether they are of this recipe.
    pub(super) fn last(&self, recipe: &Recipe) -> Option<(&Example, bool)> {
        let (key, text) = self.last.as_ref()?;
        Some((text, *key == recipe.key()))
    }
}

impl App {
    /// Whether the open model writes texts that can be asked for.
    pub(super) fn writes_texts(&self) -> bool {
        let backend = self.model.backend.as_ref();
        backend.is_some_and(|backend| backend.writes()) && !self.stands_in()
    }

    /// Asks for texts after a prompt.
    pub(super) fn write_after(&mut self, prompt: String) {
        self.model.prompting.enter(prompt);
        self.write_again();
    }

    /// Asks for texts after the same prompt, where those of the current recipe are not there.
    pub(super) fn write_again(&mut self) {
        let recipe = self.session.configuration.recipe.clone();
        let Some(wanted) = self.model.prompting.wanted(&recipe) else {
            return;
        };
        if !self.writes_texts() {
            return;
        }
        if let Some(backend) = &mut self.model.backend {
            backend.write(recipe, wanted.1.clone());
            self.model.prompting.asked = Some(wanted);
            self.model.activity.idle = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(prompt: &str) -> Option<Example> {
        Some(Example::Text {
            prompt: prompt.to_owned(),
            original: "a".to_owned(),
            compressed: "b".to_owned(),
        })
    }

    fn ask(prompting: &mut Prompting, recipe: &Recipe) -> bool {
        let wanted = prompting.wanted(recipe);
        let asks = wanted.is_some();
        prompting.asked = wanted.or(prompting.asked.take());
        asks
    }

    #[test]
    fn an_answer_to_an_older_prompt_does_not_take_the_place_of_the_newer() {
        let (recipe, mut prompting) = (Recipe::default(), Prompting::default());
        assert!(!ask(&mut prompting, &recipe));
        prompting.enter("one".to_owned());
        assert!(ask(&mut prompting, &recipe) && !ask(&mut prompting, &recipe));
        prompting.enter("two".to_owned());
        assert!(ask(&mut prompting, &recipe));
        prompting.arrived(&recipe, "one".to_owned(), text("one"));
        assert!(prompting.is_running() && prompting.last(&recipe).is_none());
        prompting.arrived(&recipe, "two".to_owned(), text("two"));
        assert!(!prompting.is_running());
        assert!(matches!(prompting.last(&recipe), Some((_, true))));
        assert!(!ask(&mut prompting, &recipe));
        let mut other = recipe;
        other.quantization.weight_bits = 4;
        assert!(matches!(prompting.last(&other), Some((_, false))));
        assert!(ask(&mut prompting, &other));
    }

    #[test]
    fn what_failed_is_not_tried_again_by_itself_and_what_was_interrupted_is() {
        let (recipe, mut prompting) = (Recipe::default(), Prompting::default());
        prompting.enter("one".to_owned());
        assert!(ask(&mut prompting, &recipe));
        prompting.arrived(&recipe, "one".to_owned(), None);
        assert!(ask(&mut prompting, &recipe));
        prompting.arrived(&recipe, "one".to_owned(), None);
        prompting.failed();
        assert!(!prompting.is_running() && !ask(&mut prompting, &recipe));
        prompting.enter("one".to_owned());
        assert!(ask(&mut prompting, &recipe));
    }
}
