//! Messages: one for each subject, the newest. They leave by themselves: what was done after a moment, what failed when the
//! next try succeeds, all of them by Escape.

use std::fmt::Display;

/// How long it is said that something was done.
const DONE_SECONDS: f64 = 6.0;
/// How long something worth knowing is said to somebody who is there.
const NOTE_SECONDS: f64 = 30.0;

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// Opening a model, a preset or another file.
    Opening,
    /// Writing a file.
    Saving,
    /// Finding and keeping the session.
    Session,
    /// Copying, changing and removing devices.
    Devices,
    /// The user's files of devices that hold none.
    OwnFiles,
    /// Measuring this machine.
    Machine,
    /// Work on the open model, by what was being done.
    Work(String),
}

/// How a message is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Something did not work.
    Failure,
    /// Something worth knowing.
    Note,
    /// Something was done.
    Done,
}

/// What can be done about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// Say where the model of a preset is now.
    Find,
    /// Open what was found, although it is another model.
    OpenOther,
}

impl Offer {
    /// What its button says.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Find => "Find it…",
            Self::OpenOther => "Open it all the same",
        }
    }
}

/// A message.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    /// Tells it from the others.
    pub(super) id: u64,
    /// How it is meant.
    pub(super) tone: Tone,
    /// What was being done.
    pub(super) title: String,
    /// What happened.
    pub(super) text: String,
    /// What can be done about it.
    pub(super) offers: Vec<Offer>,
    subject: Subject,
    /// When it began to be read, in seconds of the window's clock.
    since: Option<f64>,
}

/// The messages that wait to be read.
#[derive(Debug, Default)]
pub(super) struct Notices {
    list: Vec<Notice>,
    next: u64,
}

impl Notices {
    /// The messages, oldest first.
    pub(super) fn list(&self) -> &[Notice] {
        &self.list
    }

    /// Says something; what was said of the same subject before is no news any more.
    pub(super) fn tell(&mut self, subject: Subject, tone: Tone, title: &str, text: String) {
        self.list.retain(|notice| notice.subject != subject);
        self.list.push(Notice {
            id: self.next,
            tone,
            title: title.to_owned(),
            text,
            offers: Vec::new(),
            subject,
            since: None,
        });
        self.next += 1;
    }

    /// Something can be done about what was said last.
    pub(super) fn offer(&mut self, offers: &[Offer]) {
        if let Some(notice) = self.list.last_mut() {
            notice.offers = offers.to_vec();
        }
    }

    /// A try succeeded: that the one before failed is no news any more.
    pub(super) fn succeeded(&mut self, subject: &Subject) {
        self.list
            .retain(|notice| notice.tone != Tone::Failure || notice.subject != *subject);
    }

    /// What was said of a subject does not hold any more.
    pub(super) fn withdraw(&mut self, subject: &Subject) {
        self.list.retain(|notice| notice.subject != *subject);
    }

    /// Work on the open model is over, with all that was said of it.
    pub(super) fn withdraw_work(&mut self) {
        self.list
            .retain(|notice| !matches!(notice.subject, Subject::Work(_)));
    }

    /// A message was read.
    pub(super) fn dismiss(&mut self, id: u64) {
        self.list.retain(|notice| notice.id != id);
    }

    /// All were read.
    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// The pointer lies on a message: its time begins again.
    pub(super) fn keep(&mut self, id: u64) {
        for notice in self.list.iter_mut().filter(|notice| notice.id == id) {
            notice.since = None;
        }
    }

    /// Lets go of what was said long enough. `attended` says whether somebody is there. Returns the seconds until the next
    /// message leaves.
    pub(super) fn pass(&mut self, now: f64, attended: bool) -> Option<f64> {
        let mut next: Option<f64> = None;
        self.list.retain_mut(|notice| {
            let lasts = match notice.tone {
                Tone::Failure => return true,
                Tone::Note if notice.since.is_none() && !attended => return true,
                Tone::Note => NOTE_SECONDS,
                Tone::Done => DONE_SECONDS,
            };
            let left = lasts - (now - *notice.since.get_or_insert(now));
            if left > 0.0 {
                next = Some(next.map_or(left, |next| next.min(left)));
            }
            left > 0.0
        });
        next
    }
}

impl super::App {
    /// Says something that is worth knowing or was done.
    pub(super) fn notify(&mut self, subject: Subject, tone: Tone, title: &str, text: String) {
        self.notices.tell(subject, tone, title, text);
    }

    /// Says that something did not work.
    pub(super) fn fail(&mut self, subject: Subject, title: &str, error: &dyn Display) {
        self.notify(subject, Tone::Failure, title, format!("{error:#}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(notices: &Notices) -> Vec<&str> {
        notices
            .list()
            .iter()
            .map(|notice| notice.title.as_str())
            .collect()
    }

    #[test]
    fn the_newest_of_a_subject_counts_and_failures_leave_with_the_next_success() {
        let mut notices = Notices::default();
        let measuring = Subject::Work("Measuring".to_owned());
        notices.tell(Subject::Opening, Tone::Failure, "not opened", String::new());
        notices.tell(Subject::Saving, Tone::Failure, "not saved", String::new());
        notices.tell(measuring.clone(), Tone::Failure, "NaN", String::new());
        notices.tell(Subject::Saving, Tone::Done, "saved", String::new());
        assert_eq!(titles(&notices), ["not opened", "NaN", "saved"]);
        notices.succeeded(&Subject::Opening);
        notices.succeeded(&Subject::Saving);
        assert_eq!(titles(&notices), ["NaN", "saved"]);
        notices.succeeded(&Subject::Work("Training".to_owned()));
        assert_eq!(titles(&notices), ["NaN", "saved"]);
        notices.withdraw_work();
        assert_eq!(titles(&notices), ["saved"]);
    }

    #[test]
    fn what_was_done_leaves_after_a_moment_and_a_note_once_somebody_was_there() {
        let mut notices = Notices::default();
        notices.tell(Subject::Saving, Tone::Done, "saved", String::new());
        notices.tell(Subject::OwnFiles, Tone::Note, "note", String::new());
        notices.tell(Subject::Opening, Tone::Failure, "failed", String::new());
        assert_eq!(notices.pass(100.0, false), Some(DONE_SECONDS));
        assert_eq!(notices.pass(100.0 + DONE_SECONDS, false), None);
        assert_eq!(titles(&notices), ["note", "failed"]);
        assert_eq!(notices.pass(1000.0, false), None, "nobody is there");
        assert_eq!(notices.pass(1001.0, true), Some(NOTE_SECONDS));
        notices.keep(notices.list()[0].id);
        let later = 1001.0 + NOTE_SECONDS;
        assert_eq!(
            notices.pass(later, true),
            Some(NOTE_SECONDS),
            "under the pointer"
        );
        assert_eq!(notices.pass(later + NOTE_SECONDS, true), None);
        assert_eq!(titles(&notices), ["failed"]);
    }
}
