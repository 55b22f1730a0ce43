//! What a case for clients takes into its own hands, in place of the ordinary listener.

use bytes::Bytes;

use super::hears::unexpected;
use super::wire::Served;
use super::{Dialogue, Link, Refusal, Scope, frames};
use crate::codec::{
    Attach, Begin, DeliveryState, Disposition, Flow, Outcome, Performative, Role, Transfer,
};
use crate::conform::case::Stop;

/// Deliveries among which a client should send a large one.
const SEVERAL: usize = 10;

impl Dialogue {
    /// A new connection, open, and the client's link to send over, without credit: where many cases begin.
    ///
    /// # Errors
    ///
    /// As those of [`open`](Self::open) and [`accept_sender`](Self::accept_sender).
    pub async fn open_sender(&mut self) -> Result<Link, Stop> {
        self.open().await?;
        self.accept_sender().await
    }

    /// A new connection, open, and the client's link to receive over, for which it has granted credit.
    ///
    /// # Errors
    ///
    /// As those of [`open`](Self::open), [`accept_receiver`](Self::accept_receiver) and
    /// [`accept_credit`](Self::accept_credit).
    pub async fn open_receiver(&mut self) -> Result<Link, Stop> {
        self.open().await?;
        let link = self.accept_receiver().await?;
        self.accept_credit(&link).await?;
        Ok(link)
    }

    /// The begin of the client, with its channel. The case answers it by [`answer_begin`](Self::answer_begin).
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if the client begins no session in time.
    pub async fn hold_session(&mut self) -> Result<(u16, Begin), Stop> {
        let is_begin = |heard: &Performative| matches!(heard, Performative::Begin(_));
        match self.serve_until("begin", false, is_begin).await? {
            (channel, Performative::Begin(begin)) => Ok((channel, *begin)),
            (_, other) => Err(unexpected("begin", other.name())),
        }
    }

    /// The client's attach in this role, which the case answers: with [`answer_to`](frames::answer_to), or otherwise. The
    /// dialogue is about the link's session from now on.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if the client attaches no such link in time.
    pub async fn hold_link(&mut self, role: Role) -> Result<Link, Stop> {
        let is_attach = |heard: &Performative| match heard {
            Performative::Attach(attach) => attach.role == role,
            _ => false,
        };
        let (channel, remote) = match self.serve_until("a link", false, is_attach).await? {
            (channel, Performative::Attach(attach)) => (channel, *attach),
            (_, other) => return Err(unexpected("attach", other.name())),
        };
        let link = self.new_link(channel, remote)?;
        let (wire, _) = self.wire()?;
        let mut served = Served::new(link.clone());
        served.is_taken = true;
        wire.links.push(served);
        wire.channel = link.channel;
        Ok(link)
    }

    /// Answers the client's attach of a link on this handle in place of the one that it would get; gives the link.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn answer_on(&mut self, held: Link, handle: u32) -> Result<Link, Stop> {
        let (wire, _) = self.wire()?;
        let mut links = wire.links.iter_mut();
        let served = links.find(|served| served.link.handle == held.handle);
        let link = Link { handle, ..held };
        if let Some(served) = served {
            served.link = link.clone();
        }
        self.send_on(link.channel, frames::answer_to(&link)).await?;
        Ok(link)
    }

    /// Answers the client's attach of a link to receive over, on which deliveries are counted from here.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn answer_counting_from(&mut self, held: &Link, initial: u32) -> Result<(), Stop> {
        let (wire, _) = self.wire()?;
        let mut links = wire.links.iter_mut();
        if let Some(served) = links.find(|served| served.link.handle == held.handle) {
            served.delivery_count = initial;
        }
        let answer = Attach {
            initial_delivery_count: Some(initial),
            ..frames::answer_to(held)
        };
        self.send_on(held.channel, answer).await
    }

    /// The client's answer to an attach of this program: links that it asks for itself are answered in the meantime.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn expect_attach_of(&mut self, name: &str) -> Result<Attach, Stop> {
        let is_it = |heard: &Performative| match heard {
            Performative::Attach(attach) => attach.name == *name,
            _ => false,
        };
        let wanted = format!("attach of {name:?}");
        match self.serve_until(&wanted, false, is_it).await {
            Ok((_, Performative::Attach(attach))) => Ok(*attach),
            Ok((_, other)) => Err(unexpected(&wanted, other.name())),
            Err(Stop::Skip(reason)) => Err(Stop::Fail(reason)),
            Err(other) => Err(other),
        }
    }

    /// The flow that says how many deliveries a link has carried, and grants a client's sender credit beyond them.
    pub fn credit(&self, link: &Link, link_credit: u32) -> Flow {
        let wire = self.connections.get(self.current);
        let served = wire.and_then(|wire| {
            let mut links = wire.links.iter();
            links.find(|served| served.link.handle == link.handle)
        });
        let initial = link.remote.initial_delivery_count;
        Flow {
            handle: Some(link.handle),
            delivery_count: served.map(|served| served.delivery_count).or(initial),
            link_credit: Some(link_credit),
            ..self.flow()
        }
    }

    /// Lets a client send this many more deliveries.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn grant_more(&mut self, link: &Link, link_credit: u32) -> Result<(), Stop> {
        let flow = self.credit(link, link_credit);
        self.send_on(link.channel, flow).await
    }

    /// Lets a client send one more delivery, and accepts it: it still works.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if something else comes, or nothing in time.
    pub async fn take(&mut self, link: &Link) -> Result<(Transfer, Bytes), Stop> {
        self.grant_more(link, 1).await?;
        self.accept_delivery().await
    }

    /// The first frame of a delivery of a client that takes several. Credit is given for one delivery after the other, with
    /// this much window; the smaller ones are accepted.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if the client sends none; [`Stop::Fail`] if it does not send at all.
    pub async fn expect_large(&mut self, link: &Link, window: u32) -> Result<Transfer, Stop> {
        for _ in 0..SEVERAL {
            let flow = Flow {
                incoming_window: window,
                ..self.credit(link, 1)
            };
            self.send_on(link.channel, flow).await?;
            let (first, _) = self.expect_transfer().await?;
            if first.more {
                return Ok(first);
            }
            if let (Some(id), false) = (first.delivery_id, first.settled == Some(true)) {
                self.send(frames::settle(id, id, Outcome::Accepted)).await?;
            }
        }
        Err(Stop::skip("the client sends no message of several frames"))
    }

    /// The first frame of the next delivery to a client's receiver; it is counted as sent.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub fn next_transfer(&mut self, link: &Link) -> Result<Transfer, Stop> {
        let (wire, _) = self.wire()?;
        wire.channel = link.channel;
        let session = wire.session(link.channel);
        let delivery_id = session.map_or(0, |session| session.next_delivery_id);
        let mut links = wire.links.iter_mut();
        if let Some(served) = links.find(|served| served.link.handle == link.handle) {
            served.delivery_count = served.delivery_count.wrapping_add(1);
        }
        Ok(frames::transfer(link, delivery_id))
    }

    /// The state of a link over which a client receives, and of its session, as its last flow says it or its next: an echo is
    /// asked for.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if flows come and none of them is as `is_it` wants; [`Stop::Skip`] if none comes in time.
    pub async fn expect_state(
        &mut self,
        link: &Link,
        wanted: &str,
        is_it: impl Fn(&Flow) -> bool,
    ) -> Result<(), Stop> {
        let (wire, _) = self.wire()?;
        if wire.flow_of(link).is_some_and(&is_it) {
            return Ok(());
        }
        let echo = Flow {
            echo: true,
            ..self.credit(link, 1)
        };
        self.send_on(link.channel, echo).await?;
        let mut is_answered = false;
        let heard = self.expect_flow_that(wanted, |flow| {
            is_answered = true;
            is_it(flow)
        });
        match heard.await {
            Err(Stop::Fail(_)) if !is_answered => Err(Stop::skip("the client answers no echo")),
            heard => heard.map(drop),
        }
    }

    /// How many more deliveries of one frame a client's receiver takes, by its credit and by the window of its session.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub fn room(&mut self, link: &Link) -> Result<u32, Stop> {
        let (wire, _) = self.wire()?;
        let mut links = wire.links.iter();
        let served = links.find(|served| served.link.handle == link.handle);
        let sent = served.map_or(0, |served| served.delivery_count);
        let Some(flow) = wire.credit_of(link) else {
            return Ok(0);
        };
        // Before it knew of our attach it counted from nothing.
        let counted = flow.delivery_count.unwrap_or(0);
        let credit = flow.link_credit.unwrap_or(0);
        let credit = credit.saturating_sub(sent.wrapping_sub(counted));
        let session = wire.session(link.channel);
        let window = session.map_or(0, |session| {
            session.window_end.wrapping_sub(session.next_outgoing_id)
        });
        Ok(credit.min(window))
    }

    /// Hands a client's receiver one message, which it accepts.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if another outcome comes, or none in time.
    pub async fn give(&mut self, link: &Link, message: &[u8]) -> Result<(), Stop> {
        let delivery_id = self.hand_out(link, message).await?;
        match self.expect_outcome_of(delivery_id).await? {
            Outcome::Accepted => Ok(()),
            other => Err(unexpected("accepted", &format!("{other:?}"))),
        }
    }

    /// The outcome that the peer states for a delivery of this program.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if none comes in time.
    pub async fn expect_outcome_of(&mut self, delivery_id: u32) -> Result<Outcome, Stop> {
        let wanted = format!("the outcome of delivery {delivery_id}");
        let is_it = |disposition: &Disposition| {
            disposition.role == Role::Receiver
                && covers(disposition, delivery_id)
                && outcome_in(disposition).is_some()
        };
        let disposition = self.expect_disposition_that(&wanted, is_it).await?;
        outcome_in(&disposition).ok_or_else(|| unexpected(&wanted, "a state on the way"))
    }

    /// The outcomes of these deliveries of this program, one by one or several in a disposition.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if one does not come in time.
    pub async fn expect_outcomes_of(&mut self, mut ids: Vec<u32>) -> Result<(), Stop> {
        while !ids.is_empty() {
            let wanted = format!("the outcomes of deliveries {ids:?}");
            let is_outcome = |disposition: &Disposition| {
                disposition.role == Role::Receiver && outcome_in(disposition).is_some()
            };
            let disposition = self.expect_disposition_that(&wanted, is_outcome).await?;
            ids.retain(|id| !covers(&disposition, *id));
        }
        Ok(())
    }

    /// The client's answer to a detach or an end of this program; `None` if it ends the session or closes the connection in
    /// place of it, which is remarked.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if it complains, or says nothing in time.
    pub async fn expect_answer_to(&mut self, scope: Scope) -> Result<Option<Performative>, Stop> {
        let is_answer = |heard: &Performative| Refusal::of(heard).is_some();
        let heard = match self.serve_until("an answer", false, is_answer).await {
            Ok((_, heard)) => heard,
            Err(Stop::Skip(reason)) => return Err(Stop::Fail(reason)),
            Err(other) => return Err(other),
        };
        match Refusal::of(&heard) {
            Some(Refusal {
                error: Some(error), ..
            }) => Err(Stop::Fail(format!("the client complains: {error}"))),
            Some(answer) if answer.scope == scope => Ok(Some(heard)),
            _ => {
                self.remark(format!("{} in place of an answer", heard.name()));
                Ok(None)
            }
        }
    }

    /// The client comes to the end of its work, and closes without a complaint.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if it closes with an error; [`Stop::Skip`] if it does not close in time.
    pub async fn expect_work_done(&mut self) -> Result<(), Stop> {
        match self.serve_until_close().await?.error {
            None => self.send_on(0, frames::close()).await,
            Some(error) => Err(unexpected(
                "close without an error",
                &format!("close with {error}"),
            )),
        }
    }
}

/// Whether a disposition is about this delivery.
pub(in crate::conform) fn covers(disposition: &Disposition, delivery_id: u32) -> bool {
    let last = disposition.last.unwrap_or(disposition.first);
    let length = last.wrapping_sub(disposition.first);
    delivery_id.wrapping_sub(disposition.first) <= length
}

fn outcome_in(disposition: &Disposition) -> Option<Outcome> {
    let state = disposition.state.as_ref();
    state.and_then(DeliveryState::outcome).cloned()
}
