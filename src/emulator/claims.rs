//! What a connection may use, and until when (Event Hubs).

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use super::audience::Audience;
use crate::Clock;
use crate::lock::lock;

/// Most claims of one connection; a client needs one for each address it uses.
const MAX_CLAIMS: usize = 4096;

/// The longest wait between two looks at the clock: an injected clock may jump.
const CLOCK_CHECK: Duration = Duration::from_secs(1);

/// The claims that one connection has put.
#[derive(Debug)]
pub(crate) struct Claims {
    clock: Clock,
    granted: Mutex<Vec<Claim>>,
}

#[derive(Debug)]
struct Claim {
    audience: Audience,
    /// Never, for a peer that logged in with the key itself.
    expires: Option<SystemTime>,
}

/// The connection has put more claims than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyClaims;

impl Claims {
    pub(crate) fn new(clock: Clock) -> Claims {
        Claims {
            clock,
            granted: Mutex::default(),
        }
    }

    /// Adds a claim; a newer one for the same audience replaces the older.
    pub(crate) fn grant(
        &self,
        audience: Audience,
        expires: Option<SystemTime>,
    ) -> Result<(), TooManyClaims> {
        let now = self.clock.now();
        let mut granted = lock(&self.granted);
        granted.retain(|claim| claim.audience != audience && claim.is_valid(now));
        if granted.len() >= MAX_CLAIMS {
            return Err(TooManyClaims);
        }
        granted.push(Claim { audience, expires });
        Ok(())
    }

    /// Ends the claims that cover a path and would expire.
    pub(crate) fn revoke(&self, path: &str) {
        let is_spared =
            |claim: &Claim| claim.expires.is_none() || !claim.audience.covers_path(path);
        lock(&self.granted).retain(is_spared);
    }

    /// True if a claim that has not expired covers the path.
    pub(crate) fn allow(&self, path: &str) -> bool {
        self.any(|audience| audience.covers_path(path))
    }

    /// True if a claim that has not expired is good for reading the properties of the hub.
    pub(crate) fn allow_management(&self, hub: &str) -> bool {
        self.any(|audience| audience.covers_management(hub))
    }

    /// True if there is any claim that has not expired.
    pub(crate) fn allow_anything(&self) -> bool {
        self.any(|_| true)
    }

    fn any(&self, is_wanted: impl Fn(&Audience) -> bool) -> bool {
        let now = self.clock.now();
        lock(&self.granted)
            .iter()
            .any(|claim| claim.is_valid(now) && is_wanted(&claim.audience))
    }

    /// Resolves when no claim covers the path any more: at its expiry, or up to a second later if the clock jumps.
    pub(crate) async fn expired(&self, path: &str) {
        while let Some(left) = self.time_left(path) {
            // A timer may fire a little early by the other clock.
            tokio::time::sleep(left.clamp(Duration::from_millis(1), CLOCK_CHECK)).await;
        }
    }

    /// How long the path stays covered by the claims of now; `None` if it is not.
    fn time_left(&self, path: &str) -> Option<Duration> {
        let now = self.clock.now();
        let granted = lock(&self.granted);
        let covering = granted
            .iter()
            .filter(|claim| claim.is_valid(now) && claim.audience.covers_path(path));
        covering.map(|claim| claim.time_left(now)).max()
    }
}

impl Claim {
    fn is_valid(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    fn time_left(&self, now: SystemTime) -> Duration {
        let left = self
            .expires
            .map(|expires| expires.duration_since(now).unwrap_or_default());
        left.unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn adjustable() -> (Arc<AtomicU64>, Claims) {
        let seconds = Arc::new(AtomicU64::new(100));
        let read = Arc::clone(&seconds);
        (
            seconds,
            Claims::new(Clock::new(move || at(read.load(Ordering::Relaxed)))),
        )
    }

    fn hub() -> Audience {
        Audience::parse("sb://localhost/orders").unwrap()
    }

    #[test]
    fn a_claim_holds_for_its_path_until_it_expires() {
        let (clock, claims) = adjustable();
        assert!(!claims.allow_anything());
        claims.grant(hub(), Some(at(200))).unwrap();
        assert!(claims.allow("Orders/Partitions/1"));
        assert!(!claims.allow("other"));
        clock.store(200, Ordering::Relaxed);
        assert!(!claims.allow("orders"));
        assert!(!claims.allow_anything());
    }

    #[test]
    fn the_number_of_claims_is_bounded_and_expired_ones_make_room() {
        let (clock, claims) = adjustable();
        let audience =
            |index: usize| Audience::parse(&format!("sb://localhost/hub{index}")).unwrap();
        for index in 0..MAX_CLAIMS {
            claims.grant(audience(index), Some(at(200))).unwrap();
        }
        assert_eq!(claims.grant(hub(), Some(at(300))), Err(TooManyClaims));
        assert_eq!(
            claims.grant(audience(7), Some(at(300))),
            Ok(()),
            "a renewal needs no room"
        );
        clock.store(250, Ordering::Relaxed);
        assert_eq!(claims.grant(hub(), Some(at(300))), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn expiry_is_noticed_when_the_clock_jumps_and_a_renewal_puts_it_off() {
        let (clock, claims) = adjustable();
        claims.grant(hub(), Some(at(200))).unwrap();
        let mut expired = Box::pin(claims.expired("orders"));
        let wait = Duration::from_secs(60);
        assert!(tokio::time::timeout(wait, &mut expired).await.is_err());
        claims.grant(hub(), Some(at(400))).unwrap();
        clock.store(300, Ordering::Relaxed);
        assert!(tokio::time::timeout(wait, &mut expired).await.is_err());
        clock.store(400, Ordering::Relaxed);
        tokio::time::timeout(wait, &mut expired).await.unwrap();
    }
}
