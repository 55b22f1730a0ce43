//! Notices a link that has gone silent: it lives, and brings nothing though there is something to bring.
//!
//! Silence is judged by the partition's properties, which `$management` tells, and by nothing else: no flow with an echo is
//! sent, as not every peer answers one, and one that is not answered would prove nothing.
//!
//! | after the interval, `$management` | what happens |
//! |---|---|
//! | tells of newer events, and they do not come within a quarter of the interval | the link is made anew |
//! | tells of none, or refuses to tell | nothing: the peer lives. It is asked again after the interval |
//! | does not answer within the try | the connection on which it was asked is given up for whatever is new, as after any request; the links on it go on, and the next question, after the interval, goes over a new one |
//! | does not answer that one either | the link is made anew |
//!
//! A link of which nobody tells whether it lives is thus made anew within two and a half intervals (each is spread by up to a
//! quarter) and two tries: with the defaults, within four and a half minutes. What is made anew in vain waits ever longer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::ENDLESS;
use super::source::Source;
use crate::eventhubs::error::{ErrorKind, EventHubsError};
use crate::eventhubs::properties::PartitionProperties;

/// A link that was made anew and brings nothing either is suspected ever more rarely: the interval doubles this often.
const LARGEST_DOUBLING: u32 = 4;
/// Questions without an answer, in a row, after which a link is as good as silent.
const UNANSWERED: u32 = 2;

/// What became of the question for the partition's properties.
type Asked = Result<PartitionProperties, EventHubsError>;

/// Watches one consumer's link while the consumer waits for an event; time in which nobody waits does not count.
pub(super) struct Watchdog {
    source: Arc<Source>,
    interval: Option<Duration>,
    watch: Watch,
    /// Kept, as setting it anew costs little.
    timer: Option<Pin<Box<Sleep>>>,
    /// Since when nothing has come.
    quiet_since: Instant,
    /// Links made anew that brought nothing, in a row.
    in_vain: u32,
    /// Questions without an answer while the link was this one, in a row.
    unanswered: u32,
}

enum Watch {
    /// An event has come, or the link is new.
    Content,
    /// Nothing has come for less than the interval.
    Quiet,
    /// For longer: is there anything?
    Asking(Pin<Box<dyn Future<Output = Asked> + Send>>),
    /// There is. It may be on its way for a little while.
    Suspicious,
}

impl Watchdog {
    pub(super) fn new(source: Arc<Source>) -> Self {
        Self {
            interval: source.options.watchdog,
            source,
            watch: Watch::Content,
            timer: None,
            quiet_since: Instant::now(),
            in_vain: 0,
            unanswered: 0,
        }
    }

    /// An event came.
    pub(super) fn event_came(&mut self) {
        self.watch = Watch::Content;
        self.in_vain = 0;
        self.unanswered = 0;
    }

    /// The next link is watched anew; a question about this one, which nobody would poll, is given up.
    pub(super) fn link_is_gone(&mut self) {
        self.watch = Watch::Content;
        self.unanswered = 0;
    }

    /// To be called whenever the link has nothing. Resolves, with how long it brought nothing, when it is silent; `is_behind`
    /// says whether it should have brought something from a partition with these properties.
    pub(super) fn poll_silent(
        &mut self,
        context: &mut Context<'_>,
        is_behind: impl Fn(&PartitionProperties) -> bool,
    ) -> Poll<Duration> {
        let Some(interval) = self.interval else {
            return Poll::Pending;
        };
        loop {
            match &mut self.watch {
                Watch::Content => {
                    self.quiet_since = Instant::now();
                    self.look_again(interval);
                }
                Watch::Quiet => {
                    ready!(self.poll_timer(context));
                    let source = self.source.clone();
                    self.watch = Watch::Asking(Box::pin(async move { source.properties().await }));
                }
                Watch::Asking(answer) => match ready!(answer.as_mut().poll(context)) {
                    Ok(properties) if is_behind(&properties) => {
                        self.unanswered = 0;
                        self.watch = Watch::Suspicious;
                        self.set_timer(interval / 4);
                    }
                    Err(error) if is_silence(&error) => {
                        self.unanswered += 1;
                        if self.unanswered >= UNANSWERED {
                            return Poll::Ready(self.give_up());
                        }
                        self.look_again(interval);
                    }
                    Ok(_) | Err(_) => {
                        self.unanswered = 0;
                        self.look_again(interval);
                    }
                },
                Watch::Suspicious => {
                    ready!(self.poll_timer(context));
                    return Poll::Ready(self.give_up());
                }
            }
        }
    }

    /// The link is to be made anew; says how long it brought nothing.
    fn give_up(&mut self) -> Duration {
        self.watch = Watch::Content;
        self.unanswered = 0;
        self.in_vain = (self.in_vain + 1).min(LARGEST_DOUBLING);
        self.quiet_since.elapsed()
    }

    /// Spread, so that consumers that were made together do not ask together.
    fn look_again(&mut self, interval: Duration) {
        let spread = (self.source.namespace.random() % 256) as u32;
        let interval = interval.saturating_mul(1 << self.in_vain);
        self.set_timer(interval.saturating_add((interval / 1024).saturating_mul(spread)));
        self.watch = Watch::Quiet;
    }

    fn set_timer(&mut self, pause: Duration) {
        let at = Instant::now() + pause.min(ENDLESS);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(at),
            None => self.timer = Some(Box::pin(sleep_until(at))),
        }
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(context),
            None => Poll::Ready(()),
        }
    }
}

/// Whether nobody answered, as opposed to an answer that does not help.
fn is_silence(error: &EventHubsError) -> bool {
    matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable)
}
