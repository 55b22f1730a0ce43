//! Sessions and links as an application holds them: how they come.

use std::time::Instant;

use super::super::{Credit, EndSettings, Key, LinkKey, Refusal};
use super::ledger::Ledger;
use super::random::Random;
use super::side::{BegunSession, Side, WANTED};
use super::waits::Want;
use crate::codec::transaction::Coordinator;
use crate::codec::{
    AmqpError, Attach, Begin, ReceiverSettleMode, Role, SenderSettleMode, Source, Str, Target,
    TargetArchetype, condition,
};
use crate::error::LinkError;

/// What the receiving application holds and has not settled.
pub(super) struct Held {
    pub(super) message: u64,
    pub(super) delivery_id: u32,
}

pub(super) enum End {
    Sender {
        id: u64,
        snd_settle_mode: SenderSettleMode,
    },
    Receiver {
        held: Vec<Held>,
        /// The sending link that its messages come from.
        from: Option<u64>,
        received: Vec<u64>,
        auto_accept: bool,
    },
    /// The sending end of a control link.
    Controller,
    /// The receiving end of one.
    Coordinator,
}

/// A link as an application holds it.
pub(super) struct HeldLink {
    pub(super) key: LinkKey,
    pub(super) name: Str,
    pub(super) end: End,
    pub(super) is_attached: bool,
    pub(super) is_incoming: bool,
    /// It holds its session, which we did not begin.
    pub(super) holds_session: bool,
    /// Both ends keep what is unsettled when it is lost, and resume it.
    pub(super) is_kept: bool,
}

fn is_kept(name: &str) -> bool {
    name.contains("kept")
}

impl Side {
    pub(super) fn begin(&mut self, now: Instant, random: &mut Random) {
        let begin = Begin {
            next_outgoing_id: random.pick(&[0, 7, u32::MAX - 2]),
            incoming_window: random.pick(&[1, 2, 3, 10, 2048]),
            ..Begin::default()
        };
        let begun = self.call(|engine| engine.begin(begin, now));
        match begun {
            Ok(key) => {
                self.sessions.push(BegunSession {
                    key,
                    is_begun: false,
                });
                self.wait(Want::Begun(key));
            }
            Err(error) => self.check_session_error(&error),
        }
    }

    /// A session of ours, or one that the other side began and in which we hold a link.
    pub(super) fn some_session(&self, random: &mut Random) -> Option<Key> {
        let own = self.sessions.iter().map(|session| session.key);
        let others = self.links.iter().filter(|link| link.is_incoming);
        let keys: Vec<Key> = own.chain(others.map(|link| link.key.session)).collect();
        random.position(keys.len()).map(|position| keys[position])
    }

    pub(super) fn attach(&mut self, session: Key, ledger: &mut Ledger, random: &mut Random) {
        match random.below(10) {
            0 => self.attach_control(session, ledger, random),
            1 | 2 => {
                let number = random.below(2);
                self.attach_kept(session, number, ledger, random);
            }
            _ => {
                let name = match random.chance(20) {
                    true => format!("shared-{}", random.below(2)),
                    false => format!("{}-{}", self.name, random.below(4)),
                };
                let attach = Attach {
                    snd_settle_mode: random.pick(&[
                        SenderSettleMode::Mixed,
                        SenderSettleMode::Mixed,
                        SenderSettleMode::Settled,
                        SenderSettleMode::Unsettled,
                    ]),
                    rcv_settle_mode: random
                        .pick(&[ReceiverSettleMode::First, ReceiverSettleMode::Second]),
                    ..Attach::new(name, 0, random.pick(&[Role::Sender, Role::Receiver]))
                };
                self.attach_link(session, attach, ledger, random);
            }
        }
    }

    pub(super) fn attach_control(
        &mut self,
        session: Key,
        ledger: &mut Ledger,
        random: &mut Random,
    ) {
        let name = format!("{}-control-{}", self.name, random.below(2));
        let attach = Attach {
            target: Some(TargetArchetype::Coordinator(Coordinator::default())),
            ..Attach::new(name, 0, Role::Sender)
        };
        self.attach_link(session, attach, ledger, random);
    }

    /// Attaches one of the links that are resumed; false if it is attached, or not wholly detached yet.
    pub(super) fn attach_kept(
        &mut self,
        session: Key,
        number: usize,
        ledger: &mut Ledger,
        random: &mut Random,
    ) -> bool {
        let name = Str::from(format!("{}-kept-{number}", self.name));
        if !self.collect(&name, ledger) {
            return false;
        }
        let attach = Attach {
            unsettled: self.unsettled_map(&name),
            rcv_settle_mode: ReceiverSettleMode::Second,
            ..Attach::new(name, 0, [Role::Sender, Role::Receiver][number])
        };
        self.attach_link(session, attach, ledger, random);
        true
    }

    fn attach_link(
        &mut self,
        session: Key,
        attach: Attach,
        ledger: &mut Ledger,
        random: &mut Random,
    ) {
        let target = TargetArchetype::Target(Target::new("here"));
        let attach = Attach {
            source: Some(Source::new("there")),
            initial_delivery_count: (attach.role == Role::Sender)
                .then(|| random.pick(&[0, 5, u32::MAX - 1])),
            target: attach.target.or(Some(target)),
            ..attach
        };
        let settings = receiver_settings(&attach, random);
        match self.call(|engine| engine.attach(session, attach.clone(), settings)) {
            Ok(key) => {
                self.hold_link(key, &attach, settings, false, ledger);
                self.wait(Want::Attached(key));
            }
            Err(LinkError::NameInUse) => {}
            Err(error) => self.check_link_error(&error),
        }
    }

    fn hold_link(
        &mut self,
        key: LinkKey,
        attach: &Attach,
        settings: EndSettings,
        is_incoming: bool,
        ledger: &mut Ledger,
    ) {
        let is_own = self.sessions.iter().any(|own| own.key == key.session);
        if !is_incoming && !is_own {
            self.call(|engine| engine.hold_session(key.session));
        }
        let is_control = matches!(attach.target, Some(TargetArchetype::Coordinator(_)));
        let end = match (attach.role, is_control) {
            (Role::Sender, true) => End::Controller,
            (Role::Receiver, true) => {
                self.wait(Want::Delivery {
                    link: key,
                    ticket: None,
                });
                End::Coordinator
            }
            _ if is_kept(&attach.name) => self.kept_end(&attach.name, attach.role, ledger),
            (Role::Sender, false) => End::Sender {
                id: ledger.new_sender(),
                snd_settle_mode: attach.snd_settle_mode,
            },
            (Role::Receiver, false) => End::Receiver {
                held: Vec::new(),
                from: None,
                received: Vec::new(),
                auto_accept: settings.auto_accept,
            },
        };
        self.links.push(HeldLink {
            key,
            name: attach.name.clone(),
            end,
            is_attached: is_incoming,
            is_incoming,
            holds_session: is_incoming || !is_own,
            is_kept: is_kept(&attach.name),
        });
    }

    /// Accepts, refuses or drops a link that the other side attached.
    pub(super) fn answer(&mut self, position: usize, ledger: &mut Ledger, random: &mut Random) {
        let (key, remote) = self.undecided.swap_remove(position);
        let is_over = self.engine.link_ended(key).is_some();
        let is_ready = !is_over && (!is_kept(&remote.name) || self.collect(&remote.name, ledger));
        if !is_ready || random.chance(8) {
            // An echo without an unsettled map would say that nothing is unsettled.
            let answer = match !is_kept(&remote.name) && random.chance(30) {
                true => Refusal::EchoedTermini,
                false => Refusal::NullTerminus,
            };
            self.call(|engine| {
                engine.refuse_link(key, AmqpError::new(WANTED, "refused"), answer);
                engine.release_session(key.session);
            });
            return;
        }
        let role = remote.role.opposite();
        self.steal(&remote, role, ledger, random);
        if is_kept(&remote.name) {
            self.prune(&remote.name, remote.unsettled.as_ref());
        }
        let answer = Attach {
            snd_settle_mode: remote.snd_settle_mode,
            rcv_settle_mode: remote.rcv_settle_mode,
            source: remote.source.clone(),
            target: remote.target.clone(),
            initial_delivery_count: (role == Role::Sender).then_some(0),
            unsettled: is_kept(&remote.name)
                .then(|| self.unsettled_map(&remote.name))
                .flatten(),
            ..Attach::new(remote.name.clone(), 0, role)
        };
        let settings = receiver_settings(&answer, random);
        match self.call(|engine| engine.accept_link(key, answer.clone(), settings)) {
            Ok(()) => {
                self.hold_link(key, &answer, settings, true, ledger);
                if is_kept(&remote.name) && role == Role::Sender {
                    self.replay(key, remote.unsettled.as_ref(), ledger);
                }
            }
            Err(error) => {
                self.check_link_error(&error);
                self.call(|engine| engine.release_session(key.session));
            }
        }
    }

    /// A link of the same name in another session gives way to the new one, as at a broker that allows one (L-003).
    fn steal(&mut self, remote: &Attach, role: Role, ledger: &mut Ledger, random: &mut Random) {
        let is_stolen = |link: &HeldLink| {
            let is_sender = matches!(link.end, End::Sender { .. });
            link.is_incoming
                && !link.is_kept
                && link.name == remote.name
                && is_sender == (role == Role::Sender)
        };
        if let Some(old) = self.links.iter().find(|link| is_stolen(link))
            && random.chance(50)
        {
            let key = old.key;
            let error = AmqpError::new(condition::STOLEN, "attached again");
            self.call(|engine| engine.detach(key, true, Some(error)));
            self.wait(Want::Detached(key));
            ledger.counts.stolen += 1;
        }
    }
}

fn receiver_settings(attach: &Attach, random: &mut Random) -> EndSettings {
    let is_special = is_kept(&attach.name) || attach.name.contains("control");
    EndSettings {
        credit: match is_special {
            true => Credit::Auto(4),
            false => random.pick(&[
                Credit::Auto(1),
                Credit::Auto(4),
                Credit::Auto(300),
                Credit::Manual,
            ]),
        },
        auto_accept: !is_special && random.chance(20),
        max_partial_bytes: 1 << 20,
        prefetch_bytes: random.pick(&[None, None, Some(1), Some(1000)]),
        offers_acquisition: true,
        available: None,
    }
}
