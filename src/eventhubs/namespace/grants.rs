//! Which audiences a connection is authorized for, until when, and when their tokens are renewed.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};

use crate::lock::lock;

/// Longest pause between two looks at the tokens: time of day may jump, and machines sleep.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A token is renewed this long before its end, or when a third of its life is left if that is less.
const MARGIN: Duration = Duration::from_secs(600);

/// Held by whatever needs an audience; when the last one is gone, its token is not renewed any more.
#[derive(Debug)]
pub(super) struct Authorization {
    audience: String,
}

impl Authorization {
    pub(super) fn audience(&self) -> &str {
        &self.audience
    }
}

/// The authorizations of one connection, one for each audience.
#[derive(Default)]
pub(super) struct Grants(Mutex<Vec<Grant>>);

struct Grant {
    holder: Weak<Authorization>,
    /// Whether the service honours the token, as far as is known.
    honoured: bool,
    expires_at: Option<SystemTime>,
    renew_at: Option<SystemTime>,
    /// Less than this before the end, a renewal that fails is told even if it was only too early.
    pressing: Duration,
    /// Renewals that failed in a row.
    failures: u32,
}

impl Grant {
    /// A token was put.
    fn put(&mut self, expires_at: Option<SystemTime>, now: SystemTime) {
        let margin = expires_at.map(|end| margin(now, end)).unwrap_or_default();
        self.honoured = true;
        self.expires_at = expires_at;
        self.renew_at = expires_at.map(|end| end.checked_sub(margin).unwrap_or(now).max(now));
        self.pressing = margin / 2;
        self.failures = 0;
    }
}

impl Grants {
    /// The authorization for an audience, if somebody holds it and its token is good.
    pub(super) fn find(&self, audience: &str, now: SystemTime) -> Option<Arc<Authorization>> {
        let mut grants = lock(&self.0);
        grants.retain(|grant| grant.holder.strong_count() > 0);
        grants
            .iter()
            .filter(|grant| grant.honoured && grant.expires_at.is_none_or(|end| end > now))
            .filter_map(|grant| grant.holder.upgrade())
            .find(|authorization| authorization.audience == audience)
    }

    /// A token was put for an audience: for those who hold it already, and for the caller.
    pub(super) fn put(
        &self,
        audience: &str,
        expires_at: Option<SystemTime>,
        now: SystemTime,
    ) -> Arc<Authorization> {
        let mut grants = lock(&self.0);
        for grant in grants.iter_mut() {
            if let Some(authorization) = grant.holder.upgrade()
                && authorization.audience == audience
            {
                grant.put(expires_at, now);
                return authorization;
            }
        }
        let authorization = Arc::new(Authorization {
            audience: audience.to_owned(),
        });
        let mut grant = Grant {
            holder: Arc::downgrade(&authorization),
            honoured: true,
            expires_at: None,
            renew_at: None,
            pressing: Duration::ZERO,
            failures: 0,
        };
        grant.put(expires_at, now);
        grants.push(grant);
        authorization
    }

    /// The service did not honour an authorization: the next link puts a token anew. Those who hold it and fare well are
    /// renewed all the same.
    pub(super) fn revoke(&self, audience: &str) {
        for grant in lock(&self.0).iter_mut() {
            let holder = grant.holder.upgrade();
            if holder.is_some_and(|authorization| authorization.audience == audience) {
                grant.honoured = false;
            }
        }
    }

    /// Those whose tokens are to be renewed now.
    pub(super) fn due(&self, now: SystemTime) -> Vec<Arc<Authorization>> {
        let grants = lock(&self.0);
        let due = grants
            .iter()
            .filter(|grant| grant.renew_at.is_some_and(|at| at <= now));
        due.filter_map(|grant| grant.holder.upgrade()).collect()
    }

    /// When the present token ends.
    pub(super) fn expires_at(&self, authorization: &Authorization) -> Option<SystemTime> {
        self.with(authorization, |grant| grant.expires_at).flatten()
    }

    /// A renewal failed: the next one after `pause`, which is given the number of failures before. Returns what is left of
    /// the present token, and whether that is little.
    pub(super) fn postpone(
        &self,
        authorization: &Authorization,
        now: SystemTime,
        pause: impl FnOnce(u32) -> Duration,
    ) -> (Duration, bool) {
        let postponed = self.with(authorization, |grant| {
            grant.renew_at = now.checked_add(pause(grant.failures));
            grant.failures = grant.failures.saturating_add(1);
            let left = grant.expires_at.map_or(Duration::MAX, |end| {
                end.duration_since(now).unwrap_or_default()
            });
            (left, left <= grant.pressing)
        });
        postponed.unwrap_or_default()
    }

    fn with<R>(
        &self,
        authorization: &Authorization,
        look: impl FnOnce(&mut Grant) -> R,
    ) -> Option<R> {
        let mut grants = lock(&self.0);
        let grant = grants
            .iter_mut()
            .find(|grant| std::ptr::eq(grant.holder.as_ptr(), authorization));
        grant.map(look)
    }

    /// How long to wait until the next look.
    pub(super) fn next_renewal(&self, now: SystemTime) -> Duration {
        let grants = lock(&self.0);
        let held = grants
            .iter()
            .filter(|grant| grant.holder.strong_count() > 0);
        let next = held.filter_map(|grant| grant.renew_at).min();
        next.map_or(LONGEST_PAUSE, |at| {
            let pause = at.duration_since(now).unwrap_or_default();
            // Never a busy loop, whatever a token source says.
            pause.clamp(Duration::from_secs(1), LONGEST_PAUSE)
        })
    }
}

/// How long before its `end` a token is to be renewed that was put `now`.
fn margin(now: SystemTime, end: SystemTime) -> Duration {
    let life = end.duration_since(now).unwrap_or_default();
    MARGIN.min(life / 3)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn tokens_are_renewed_well_before_their_end() {
        // Put at, ends at, due at: ten minutes before the end, or when a third is left.
        for (now, end, due) in [(0, 3600, 3000), (0, 120, 80), (100, 50, 100)] {
            let grants = Grants::default();
            let _held = grants.put("a", Some(at(end)), at(now));
            assert!(grants.due(at(due - 1)).is_empty());
            assert_eq!(grants.due(at(due)).len(), 1, "{end}");
        }
    }

    #[test]
    fn an_audience_is_found_while_it_is_held_and_its_token_lives() {
        let grants = Grants::default();
        let held = grants.put("a", Some(at(60)), at(0));
        assert!(grants.find("a", at(59)).is_some());
        assert!(grants.find("b", at(0)).is_none());
        assert!(grants.find("a", at(60)).is_none());
        grants.put("a", Some(at(120)), at(40));
        assert!(grants.find("a", at(60)).is_some());
        drop(held);
        assert!(grants.find("a", at(60)).is_none());
    }

    #[test]
    fn a_revoked_audience_is_not_found_and_still_renewed_for_its_holders() {
        let grants = Grants::default();
        let held = grants.put("a", Some(at(120)), at(0));
        grants.revoke("a");
        assert!(grants.find("a", at(0)).is_none());
        assert_eq!(grants.due(at(80)).len(), 1);
        let again = grants.put("a", Some(at(200)), at(80));
        assert!(Arc::ptr_eq(&held, &again), "one grant for all");
        assert!(grants.find("a", at(80)).is_some());
    }

    #[test]
    fn renewals_that_fail_are_postponed_and_say_what_is_left() {
        let grants = Grants::default();
        let held = grants.put("a", Some(at(120)), at(0));
        let endless = grants.put("b", None, at(0));
        assert_eq!(grants.next_renewal(at(50)), 30 * SECOND);
        let pause = |failures| SECOND * (failures + 5);
        assert_eq!(grants.postpone(&held, at(80), pause), (40 * SECOND, false));
        assert!(grants.due(at(84)).is_empty());
        assert_eq!(grants.due(at(85)).len(), 1);
        assert_eq!(grants.postpone(&held, at(100), pause), (20 * SECOND, true));
        assert_eq!(grants.due(at(106)).len(), 1, "more slowly");
        let after = grants.postpone(&held, at(130), pause);
        assert_eq!(after, (Duration::ZERO, true));
        assert_eq!(grants.next_renewal(at(1000)), SECOND);
        drop(held);
        assert_eq!(grants.next_renewal(at(80)), LONGEST_PAUSE);
        drop(endless);
    }
}
