//! Which audiences a connection is authorized for, until when, and when their tokens are renewed.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};

use crate::lock::lock;

/// Longest pause between two looks at the tokens: time of day may jump, and machines sleep.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Pause after a renewal that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
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

/// The authorizations of one connection.
#[derive(Default)]
pub(super) struct Grants(Mutex<Vec<Grant>>);

struct Grant {
    holder: Weak<Authorization>,
    expires_at: Option<SystemTime>,
    renew_at: Option<SystemTime>,
}

impl Grants {
    /// The authorization for an audience, if somebody holds it and its token lives.
    pub(super) fn find(&self, audience: &str, now: SystemTime) -> Option<Arc<Authorization>> {
        let mut grants = lock(&self.0);
        grants.retain(|grant| grant.holder.strong_count() > 0);
        grants
            .iter()
            .filter(|grant| grant.expires_at.is_none_or(|end| end > now))
            .filter_map(|grant| grant.holder.upgrade())
            .find(|authorization| authorization.audience == audience)
    }

    /// A token was put for an audience.
    pub(super) fn add(
        &self,
        audience: String,
        expires_at: Option<SystemTime>,
        now: SystemTime,
    ) -> Arc<Authorization> {
        let authorization = Arc::new(Authorization { audience });
        lock(&self.0).push(Grant {
            holder: Arc::downgrade(&authorization),
            expires_at,
            renew_at: expires_at.map(|end| renewal_time(now, end)),
        });
        authorization
    }

    /// Forgets an authorization that the service did not honour.
    pub(super) fn revoke(&self, audience: &str) {
        lock(&self.0).retain(|grant| {
            let holder = grant.holder.upgrade();
            holder.is_some_and(|authorization| authorization.audience != audience)
        });
    }

    /// Those whose tokens are to be renewed now.
    pub(super) fn due(&self, now: SystemTime) -> Vec<Arc<Authorization>> {
        let grants = lock(&self.0);
        let due = grants
            .iter()
            .filter(|grant| grant.renew_at.is_some_and(|at| at <= now));
        due.filter_map(|grant| grant.holder.upgrade()).collect()
    }

    /// A new token was put.
    pub(super) fn renewed(
        &self,
        authorization: &Arc<Authorization>,
        expires_at: Option<SystemTime>,
        now: SystemTime,
    ) {
        self.update(authorization, |grant| {
            grant.expires_at = expires_at;
            grant.renew_at = expires_at.map(|end| renewal_time(now, end));
        });
    }

    /// A renewal failed: not at once again.
    pub(super) fn postpone(&self, authorization: &Arc<Authorization>, now: SystemTime) {
        self.update(authorization, |grant| {
            grant.renew_at = now.checked_add(AFTER_FAILURE);
        });
    }

    fn update(&self, authorization: &Arc<Authorization>, change: impl FnOnce(&mut Grant)) {
        let mut grants = lock(&self.0);
        let grant = grants
            .iter_mut()
            .find(|grant| std::ptr::eq(grant.holder.as_ptr(), Arc::as_ptr(authorization)));
        if let Some(grant) = grant {
            change(grant);
        }
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

/// When a token that ends at `end` is to be renewed.
fn renewal_time(now: SystemTime, end: SystemTime) -> SystemTime {
    let left = end.duration_since(now).unwrap_or_default();
    now + (left - MARGIN.min(left / 3))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn tokens_are_renewed_well_before_their_end() {
        // An hour: ten minutes before the end.
        assert_eq!(renewal_time(at(0), at(3600)), at(3000));
        // Two minutes: when a third is left.
        assert_eq!(renewal_time(at(0), at(120)), at(80));
        assert_eq!(renewal_time(at(100), at(50)), at(100));
    }

    #[test]
    fn an_audience_is_found_while_it_is_held_and_its_token_lives() {
        let grants = Grants::default();
        let held = grants.add("a".into(), Some(at(60)), at(0));
        assert!(grants.find("a", at(59)).is_some());
        assert!(grants.find("b", at(0)).is_none());
        assert!(grants.find("a", at(60)).is_none());
        grants.renewed(&held, Some(at(120)), at(40));
        assert!(grants.find("a", at(60)).is_some());
        drop(held);
        assert!(grants.find("a", at(60)).is_none());
    }

    #[test]
    fn a_revoked_audience_is_not_found_though_it_is_held() {
        let grants = Grants::default();
        let _held = grants.add("a".into(), None, at(0));
        grants.revoke("a");
        assert!(grants.find("a", at(0)).is_none());
    }

    #[test]
    fn renewals_fall_due_and_are_postponed_after_a_failure() {
        let grants = Grants::default();
        let held = grants.add("a".into(), Some(at(120)), at(0));
        let _endless = grants.add("b".into(), None, at(0));
        assert!(grants.due(at(79)).is_empty());
        assert_eq!(grants.next_renewal(at(50)), Duration::from_secs(30));
        assert_eq!(grants.due(at(80)).len(), 1);
        grants.postpone(&held, at(80));
        assert!(grants.due(at(109)).is_empty());
        assert_eq!(grants.due(at(110)).len(), 1);
        assert_eq!(grants.next_renewal(at(1000)), Duration::from_secs(1));
        drop(held);
        assert_eq!(grants.next_renewal(at(80)), LONGEST_PAUSE);
    }
}
