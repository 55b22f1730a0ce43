//! An ordinary listener, for cases about clients: what a client does before it comes to the point is answered as any broker
//! would, in whatever order it does it.

use bytes::Bytes;
use tokio::time::Instant;

use super::hears::Next;
use super::wire::{Served, Session};
use super::{Dialogue, Link, frames};
use crate::codec::frame::AmqpFrame;
use crate::codec::{
    AmqpError, Attach, Begin, Close, Detach, End, Flow, Outcome, Performative, Role,
    TargetArchetype, Transfer, condition,
};
use crate::conform::case::{Side, Stop};

/// Credit that a client's sender gets from an ordinary listener, and again when it is used up.
const CREDIT: u32 = 100;
/// Messages that a client's receiver gets from an ordinary listener, in all.
const MESSAGES: u32 = 10;

impl Dialogue {
    /// The client begins a session, which is answered; gives its begin. The dialogue is about this session from now on.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if the client begins none in time.
    pub async fn accept_session(&mut self) -> Result<Begin, Stop> {
        let (channel, begin) = self.hold_session().await?;
        self.answer_begin(channel, frames::begin()).await?;
        Ok(begin)
    }

    /// The client attaches a link over which it sends; it is answered, and gets no credit yet. The dialogue is about the
    /// link's session from now on.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if the client attaches none in time.
    pub async fn accept_sender(&mut self) -> Result<Link, Stop> {
        self.accept_link(Role::Sender, "a link to send over").await
    }

    /// The client attaches a link over which it receives; it is answered, and gets no message yet. The dialogue is about the
    /// link's session from now on.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if the client attaches none in time.
    pub async fn accept_receiver(&mut self) -> Result<Link, Stop> {
        self.accept_link(Role::Receiver, "a link to receive over")
            .await
    }

    async fn accept_link(&mut self, role: Role, wanted: &str) -> Result<Link, Stop> {
        let deadline = Instant::now() + self.waits.patience;
        loop {
            let (wire, _) = self.wire()?;
            let mut untaken = wire.links.iter_mut().filter(|served| !served.is_taken);
            if let Some(served) = untaken.find(|served| served.link.remote.role == role) {
                served.is_taken = true;
                let link = served.link.clone();
                wire.channel = link.channel;
                return Ok(link);
            }
            let frame = self.frame_or_skip(wanted, deadline).await?;
            self.oblige(frame, false).await?;
        }
    }

    /// The flow by which the client grants credit on a link over which it receives.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if it grants none in time.
    pub async fn accept_credit(&mut self, link: &Link) -> Result<Flow, Stop> {
        let handle = link.remote.handle;
        let (wire, _) = self.wire()?;
        if let Some(flow) = wire.credit_of(link) {
            return Ok(flow);
        }
        let heard = self.serve_until("credit", false, |heard| match heard {
            Performative::Flow(flow) => {
                flow.handle == Some(handle) && flow.link_credit.is_some_and(|credit| credit > 0)
            }
            _ => false,
        });
        match heard.await? {
            (_, Performative::Flow(flow)) => Ok(flow),
            _ => Err(Stop::fail("no flow")),
        }
    }

    /// Serves the client as a broker would (grants credit, accepts, hands out a few messages, answers) until it closes; gives
    /// its close, which is not answered yet.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if it does not close in time.
    pub async fn serve_until_close(&mut self) -> Result<Close, Stop> {
        let heard = self.serve_until("close", true, |heard| {
            matches!(heard, Performative::Close(_))
        });
        match heard.await? {
            (_, Performative::Close(close)) => Ok(close),
            _ => Err(Stop::fail("no close")),
        }
    }

    /// Serves the client as a broker would until it says what `is_wanted` waits for; that is given back with its channel, and
    /// not answered. `wanted` names it. Credit and messages are only given if `is_generous`.
    ///
    /// # Errors
    ///
    /// [`Stop::Skip`] if it does not say so in time.
    pub async fn serve_until(
        &mut self,
        wanted: &str,
        is_generous: bool,
        mut is_wanted: impl FnMut(&Performative) -> bool,
    ) -> Result<(u16, Performative), Stop> {
        let deadline = Instant::now() + self.waits.patience;
        if is_generous {
            self.grant_to_all().await?;
        }
        loop {
            let frame = self.frame_or_skip(wanted, deadline).await?;
            match frame.performative {
                Some(performative) if is_wanted(&performative) => {
                    return Ok((frame.channel, performative));
                }
                _ => self.oblige(frame, is_generous).await?,
            }
        }
    }

    async fn frame_or_skip(&mut self, wanted: &str, deadline: Instant) -> Result<AmqpFrame, Stop> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.frame_within(left).await? {
            Next::Frame(frame) => Ok(frame),
            Next::End => Err(Stop::Skip(format!(
                "the client is gone before {wanted} came"
            ))),
            Next::Nothing => Err(Stop::Skip(format!(
                "the client is not heard to bring {wanted}"
            ))),
        }
    }

    /// Whether a client begins something that it may begin at any time, whatever the case is about.
    pub(super) fn is_prelude(&self, performative: &Performative) -> bool {
        let begins = matches!(
            performative,
            Performative::Begin(_) | Performative::Attach(_)
        );
        begins && self.target.side == Side::Client
    }

    /// Answers a begin or an attach of a client; the dialogue stays about the session that it is about.
    pub(super) async fn answer_prelude(
        &mut self,
        channel: u16,
        performative: Performative,
    ) -> Result<(), Stop> {
        let before = self.channel()?;
        let frame = AmqpFrame {
            channel,
            performative: Some(performative),
            payload: Bytes::new(),
        };
        self.oblige(frame, false).await?;
        self.wire()?.0.channel = before;
        Ok(())
    }

    /// Answers one frame of a client.
    async fn oblige(&mut self, frame: AmqpFrame, is_generous: bool) -> Result<(), Stop> {
        let AmqpFrame {
            channel,
            performative,
            ..
        } = frame;
        match performative {
            Some(Performative::Begin(_)) => self.answer_begin(channel, frames::begin()).await,
            Some(Performative::Attach(attach)) => {
                self.answer_attach_on(channel, *attach).await?;
                match is_generous {
                    true => self.grant_to_all().await,
                    false => Ok(()),
                }
            }
            Some(Performative::Flow(flow)) => self.answer_flow(channel, flow, is_generous).await,
            Some(Performative::Transfer(transfer)) => self.accept_transfer(channel, transfer).await,
            Some(Performative::Detach(detach)) => self.answer_detach(channel, &detach).await,
            Some(Performative::End(_)) => self.answer_end(channel).await,
            Some(Performative::Close(_)) => {
                self.send_on(0, frames::close()).await?;
                self.half_close().await
            }
            Some(Performative::Open(_) | Performative::Disposition(_)) | None => Ok(()),
        }
    }

    /// Answers a client's begin that came on this channel with `answer`, whose remote-channel is set here.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn answer_begin(&mut self, remote_channel: u16, answer: Begin) -> Result<(), Stop> {
        let (wire, _) = self.wire()?;
        let most = wire
            .remote_open
            .as_ref()
            .map_or(u16::MAX, |open| open.channel_max);
        let first = frames::CHANNEL.min(most);
        let is_free = |channel: &u16| wire.session(*channel).is_none();
        let channel = (first..=most).chain(0..first).find(is_free);
        let channel = channel.unwrap_or(0);
        let mut begins = wire.remote_begins.iter();
        let begin = begins.find(|(channel, _)| *channel == remote_channel);
        let begin = begin.map(|(_, begin)| begin.clone()).unwrap_or_default();
        wire.channel = channel;
        wire.sessions.push(Session {
            channel,
            remote_channel,
            next_incoming_id: begin.next_outgoing_id,
            next_outgoing_id: answer.next_outgoing_id,
            window_end: answer.next_outgoing_id.wrapping_add(begin.incoming_window),
            next_delivery_id: answer.next_outgoing_id,
        });
        let answer = Begin {
            remote_channel: Some(remote_channel),
            ..answer
        };
        self.send_on(channel, answer).await
    }

    /// Answers a client's attach and grants all of it, save for a coordinator, which is refused.
    async fn answer_attach_on(&mut self, remote_channel: u16, remote: Attach) -> Result<(), Stop> {
        let link = self.new_link(remote_channel, remote)?;
        if matches!(link.remote.target, Some(TargetArchetype::Coordinator(_))) {
            return self.refuse(&link).await;
        }
        let (wire, _) = self.wire()?;
        wire.links.push(Served::new(link.clone()));
        self.send_on(link.channel, frames::answer_to(&link)).await
    }

    /// The two ends of a link that a client attaches; this program's handle is one that is free.
    pub(super) fn new_link(&mut self, remote_channel: u16, remote: Attach) -> Result<Link, Stop> {
        let (wire, _) = self.wire()?;
        let Some(channel) = wire.channel_of(remote_channel) else {
            return Err(Stop::Fail(format!(
                "attach on channel {remote_channel}, which has no session"
            )));
        };
        let handle = wire.next_handle;
        wire.next_handle += 1;
        Ok(Link {
            channel,
            handle,
            remote,
        })
    }

    async fn refuse(&mut self, link: &Link) -> Result<(), Stop> {
        let answer = Attach {
            target: None,
            ..frames::answer_to(link)
        };
        self.send_on(link.channel, answer).await?;
        let why = AmqpError::new(condition::NOT_IMPLEMENTED, "there are no transactions here");
        let detach = Detach {
            error: Some(why),
            ..frames::detach(link)
        };
        self.send_on(link.channel, detach).await
    }

    /// Every link over which the client sends gets credit.
    async fn grant_to_all(&mut self) -> Result<(), Stop> {
        let (wire, _) = self.wire()?;
        let senders = wire
            .links
            .iter_mut()
            .filter(|served| served.link.remote.role == Role::Sender);
        let hungry: Vec<Served> = senders
            .filter_map(|served| {
                let is_hungry = served.credit == 0;
                served.credit = CREDIT;
                is_hungry.then(|| served.clone())
            })
            .collect();
        for served in hungry {
            self.grant(&served.link, served.delivery_count, CREDIT)
                .await?;
        }
        Ok(())
    }

    /// Says the state that the client asks for, uses up credit that it drains, and hands out messages for what is left.
    async fn answer_flow(
        &mut self,
        channel: u16,
        flow: Flow,
        is_generous: bool,
    ) -> Result<(), Stop> {
        let (wire, _) = self.wire()?;
        let served = wire.served(channel, flow.handle);
        let receiver = served.filter(|served| served.link.remote.role == Role::Receiver);
        let Some(served) = receiver.cloned() else {
            return match flow.echo {
                true => self.send(self.flow()).await,
                false => Ok(()),
            };
        };
        let from = flow.delivery_count.unwrap_or(0);
        let used = served.delivery_count.wrapping_sub(from);
        let credit = flow.link_credit.unwrap_or(0).saturating_sub(used);
        let messages = match is_generous {
            true => credit.min(MESSAGES.saturating_sub(served.delivery_count)),
            false => 0,
        };
        for _ in 0..messages {
            self.hand_out(&served.link, &frames::text("hello")).await?;
        }
        if !flow.drain && !flow.echo {
            return Ok(());
        }
        let left = credit - messages;
        let (wire, _) = self.wire()?;
        let Some(served) = wire.served(channel, flow.handle) else {
            return Ok(());
        };
        if flow.drain {
            served.delivery_count = served.delivery_count.wrapping_add(left);
        }
        let state = Flow {
            handle: Some(served.link.handle),
            delivery_count: Some(served.delivery_count),
            link_credit: Some(if flow.drain { 0 } else { left }),
            available: Some(0),
            drain: flow.drain,
            ..Flow::default()
        };
        let link = served.link.clone();
        self.send_link_state(&link, state).await
    }

    async fn send_link_state(&mut self, link: &Link, state: Flow) -> Result<(), Stop> {
        let session = self.flow();
        let flow = Flow {
            next_incoming_id: session.next_incoming_id,
            incoming_window: session.incoming_window,
            next_outgoing_id: session.next_outgoing_id,
            outgoing_window: session.outgoing_window,
            ..state
        };
        self.send_on(link.channel, flow).await
    }

    /// Sends one message to a client's receiver, in one frame; gives its delivery-id.
    ///
    /// # Errors
    ///
    /// [`Stop::Fail`] if there is no connection.
    pub async fn hand_out(&mut self, link: &Link, message: &[u8]) -> Result<u32, Stop> {
        let transfer = self.next_transfer(link)?;
        let delivery_id = transfer.delivery_id.unwrap_or(0);
        self.send_transfer(transfer, message).await?;
        Ok(delivery_id)
    }

    /// Accepts a client's delivery when its last frame is here.
    async fn accept_transfer(&mut self, channel: u16, transfer: Transfer) -> Result<(), Stop> {
        let (wire, _) = self.wire()?;
        let Some(served) = wire.served(channel, Some(transfer.handle)) else {
            return Ok(());
        };
        if transfer.delivery_id.is_some() {
            served.delivery_id = transfer.delivery_id;
        }
        served.is_settled |= transfer.settled == Some(true);
        if transfer.more {
            return Ok(());
        }
        let is_settled = std::mem::take(&mut served.is_settled);
        let our_channel = served.link.channel;
        match served.delivery_id.take() {
            Some(id) if !is_settled && !transfer.aborted => {
                let accepted = frames::settle(id, id, Outcome::Accepted);
                self.send_on(our_channel, accepted).await
            }
            _ => Ok(()),
        }
    }

    async fn answer_detach(&mut self, channel: u16, detach: &Detach) -> Result<(), Stop> {
        let (wire, _) = self.wire()?;
        let Some(served) = wire.served(channel, Some(detach.handle)) else {
            return Ok(()); // of a link that was refused
        };
        let link = served.link.clone();
        wire.links
            .retain(|served| served.link.handle != link.handle);
        let answer = Detach {
            closed: detach.closed,
            ..frames::detach(&link)
        };
        self.send_on(link.channel, answer).await
    }

    async fn answer_end(&mut self, remote_channel: u16) -> Result<(), Stop> {
        let (wire, _) = self.wire()?;
        let Some(channel) = wire.channel_of(remote_channel) else {
            return Ok(());
        };
        wire.sessions.retain(|session| session.channel != channel);
        wire.links.retain(|served| served.link.channel != channel);
        self.send_on(channel, End::default()).await
    }
}
