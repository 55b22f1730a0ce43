//! A scripted peer: the test writes every frame that it sends and checks every frame that it gets, so that a test reads like
//! a dialogue. It stands on either side of one connection of ours, whose other end is a memory pipe.

use std::time::Duration;

use amqp10::codec::frame::{self, AmqpFrame, ProtocolHeader};
use amqp10::codec::sasl::SaslFrame;
use amqp10::codec::{
    Attach, Begin, Close, Detach, Disposition, Encode, End, Flow, Open, Performative, Role, Source,
    Symbol, Target, Transfer, Writer,
};
use amqp10::memory::{self, MemoryStream};
use amqp10::{
    ConnectError, Connection, ConnectionOptions, Credentials, Listener, ListenerOptions,
    SaslServerOptions,
};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The channel of the peer's first session: never the number that our side uses.
pub const CHANNEL: u16 = 7;
/// The handle of the peer's first link: never the number that our side uses.
pub const HANDLE: u32 = 42;
/// How long the peer waits for a frame. Time is paused in these tests, so it costs nothing.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long silence must last to count as such.
const SILENCE: Duration = Duration::from_secs(1);

/// A connection of ours that is being opened by another task.
pub type Opening = JoinHandle<Result<Connection, ConnectError>>;

/// One end of a connection, played by the test.
pub struct Peer {
    stream: MemoryStream,
    input: BytesMut,
    /// Transfer frames that came: what a flow of this peer says as next-incoming-id.
    pub next_incoming_id: u32,
    /// Transfer frames that were sent: what a flow of this peer says as next-outgoing-id.
    pub next_outgoing_id: u32,
}

/// Options of a client of ours without a SASL layer.
pub fn client_options() -> ConnectionOptions {
    ConnectionOptions::default()
        .container_id("client")
        .credentials(Credentials::None)
}

/// Options of a listener of ours that wants no SASL layer.
pub fn listener_options() -> ListenerOptions {
    ListenerOptions::default().sasl(SaslServerOptions::default().require(false))
}

/// The smallest open.
pub fn open() -> Open {
    Open {
        container_id: "peer".into(),
        ..Open::default()
    }
}

/// A begin with room for everything.
pub fn begin() -> Begin {
    Begin {
        next_outgoing_id: 0,
        incoming_window: 10_000,
        outgoing_window: 10_000,
        ..Begin::default()
    }
}

/// The peer's attach as the sender of a link.
pub fn attach_sender(name: &str) -> Attach {
    Attach {
        source: Some(Source::new("node")),
        target: Some(Target::new("node").into()),
        initial_delivery_count: Some(0),
        ..Attach::new(name, HANDLE, Role::Sender)
    }
}

/// The peer's attach as the receiver of a link.
pub fn attach_receiver(name: &str) -> Attach {
    Attach {
        source: Some(Source::new("node")),
        target: Some(Target::new("node").into()),
        ..Attach::new(name, HANDLE, Role::Receiver)
    }
}

/// The answer to `asked` that grants all of it.
pub fn answer_to(asked: &Attach) -> Attach {
    let role = match asked.role {
        Role::Sender => Role::Receiver,
        Role::Receiver => Role::Sender,
    };
    Attach {
        snd_settle_mode: asked.snd_settle_mode,
        rcv_settle_mode: asked.rcv_settle_mode,
        source: asked.source.clone(),
        target: asked.target.clone(),
        initial_delivery_count: (role == Role::Sender).then_some(0),
        ..Attach::new(asked.name.clone(), HANDLE, role)
    }
}

/// The first frame of a delivery on the peer's first link; its tag is its number.
pub fn transfer(delivery_id: u32) -> Transfer {
    Transfer {
        handle: HANDLE,
        delivery_id: Some(delivery_id),
        delivery_tag: Some(
            delivery_id
                .to_be_bytes()
                .as_slice()
                .try_into()
                .expect("four octets"),
        ),
        message_format: Some(0),
        ..Transfer::default()
    }
}

/// A later frame of a delivery, with nothing repeated.
pub fn continuation() -> Transfer {
    Transfer {
        handle: HANDLE,
        ..Transfer::default()
    }
}

impl Peer {
    pub fn new(stream: MemoryStream) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            next_incoming_id: 0,
            next_outgoing_id: 0,
        }
    }

    /// A client of ours calls this peer. Nothing has been exchanged yet.
    pub fn of_client(options: ConnectionOptions) -> (Self, Opening) {
        let (near, far) = memory::pipe(1 << 20);
        let opening = tokio::spawn(Connection::open_with_stream(near, options));
        (Self::new(far), opening)
    }

    /// This peer calls a listener of ours. Nothing has been exchanged yet.
    pub fn of_listener(options: ListenerOptions) -> (Self, Opening) {
        let (near, far) = memory::pipe(1 << 20);
        let opening = tokio::spawn(async move {
            let incoming = Listener::accept_stream(near, &options).await?;
            incoming.accept().await
        });
        (Self::new(far), opening)
    }

    /// A client of ours, connected to this peer.
    pub async fn opened_client(options: ConnectionOptions, open: Open) -> (Self, Connection) {
        let (mut peer, opening) = Self::of_client(options);
        peer.exchange_headers().await;
        peer.expect_open().await;
        peer.send_on(0, open).await;
        (peer, opening.await.expect("opens").expect("is open"))
    }

    /// A listener of ours, connected to this peer.
    pub async fn opened_listener(options: ListenerOptions, open: Open) -> (Self, Connection) {
        let (mut peer, opening) = Self::of_listener(options);
        peer.exchange_headers().await;
        peer.send_on(0, open).await;
        peer.expect_open().await;
        (peer, opening.await.expect("opens").expect("is open"))
    }

    // ---- what the peer says

    pub async fn exchange_headers(&mut self) {
        self.exchange_headers_with(&ProtocolHeader::AMQP.to_bytes())
            .await;
    }

    /// The same, with the octets that follow the header in the same segment.
    pub async fn exchange_headers_with(&mut self, octets: &[u8]) {
        self.send_bytes(octets).await;
        self.expect_header(ProtocolHeader::AMQP).await;
    }

    pub async fn send_bytes(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.expect("is read");
    }

    /// The same, to somebody who may have stopped reading.
    pub async fn send_if_read(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets).await;
    }

    /// Sends one performative in the peer's first session.
    pub async fn send(&mut self, performative: impl Into<Performative>) {
        self.send_on(CHANNEL, performative).await;
    }

    pub async fn send_on(&mut self, channel: u16, performative: impl Into<Performative>) {
        self.send_bytes(&encode(channel, &performative.into(), b""))
            .await;
    }

    /// Sends one transfer frame in the peer's first session.
    pub async fn send_transfer(&mut self, transfer: Transfer, payload: &[u8]) {
        self.next_outgoing_id = self.next_outgoing_id.wrapping_add(1);
        self.send_transfer_on(CHANNEL, transfer, payload).await;
    }

    /// Sends one transfer frame in some session, without counting it.
    pub async fn send_transfer_on(&mut self, channel: u16, transfer: Transfer, payload: &[u8]) {
        self.send_bytes(&encode(channel, &transfer.into(), payload))
            .await;
    }

    /// The session's state, as this peer sees it.
    pub fn flow(&self) -> Flow {
        Flow {
            next_incoming_id: Some(self.next_incoming_id),
            incoming_window: 10_000,
            next_outgoing_id: self.next_outgoing_id,
            outgoing_window: 10_000,
            ..Flow::default()
        }
    }

    /// Grants credit on the peer's first link.
    pub async fn grant(&mut self, delivery_count: u32, link_credit: u32) {
        let flow = Flow {
            handle: Some(HANDLE),
            delivery_count: Some(delivery_count),
            link_credit: Some(link_credit),
            ..self.flow()
        };
        self.send(flow).await;
    }

    pub async fn send_sasl(&mut self, frame: &SaslFrame) {
        let mut octets = BytesMut::new();
        frame::encode_sasl(&mut octets, frame);
        self.send_bytes(&octets).await;
    }

    /// Ends the stream in this direction only: the peer sends no more, and still reads.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.expect("an open stream");
    }

    /// Ends the stream without a word.
    pub fn hang_up(self) {
        drop(self);
    }

    // ---- what the peer hears

    async fn read_frame(&mut self) -> Option<AmqpFrame> {
        loop {
            if let Some(raw) = frame::split(&mut self.input, u32::MAX).expect("a frame") {
                let frame = frame::decode_amqp(raw).expect("a performative");
                if let Some(Performative::Transfer(_)) = frame.performative {
                    self.next_incoming_id = self.next_incoming_id.wrapping_add(1);
                }
                return Some(frame);
            }
            if self.stream.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Reads what has been said, and forgets it.
    pub async fn read_what_there_is(&mut self) {
        while let Ok(Some(_)) = timeout(Duration::from_millis(1), self.read_frame()).await {}
    }

    /// This many octets, whatever they are.
    pub async fn read_octets(&mut self, count: usize) -> Bytes {
        while self.input.len() < count {
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await;
            assert_ne!(read.expect("octets in time").expect("octets"), 0);
        }
        self.input.split_to(count).freeze()
    }

    pub async fn expect_header(&mut self, header: ProtocolHeader) {
        assert_eq!(self.read_octets(8).await, header.to_bytes().as_slice());
    }

    pub async fn expect_sasl(&mut self) -> SaslFrame {
        loop {
            if let Some(raw) = frame::split(&mut self.input, u32::MAX).expect("a frame") {
                return frame::decode_sasl(raw).expect("a SASL frame");
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await;
            assert_ne!(read.expect("a frame in time").expect("octets"), 0);
        }
    }

    /// The next frame, empty ones included; None at the end of the stream.
    pub async fn next_frame(&mut self) -> Option<AmqpFrame> {
        timeout(PATIENCE, self.read_frame())
            .await
            .expect("a frame in time")
    }

    /// The next frame that says something.
    pub async fn expect(&mut self) -> (u16, Performative, Bytes) {
        loop {
            let frame = self.next_frame().await.expect("a frame, not the end");
            if let Some(performative) = frame.performative {
                return (frame.channel, performative, frame.payload);
            }
        }
    }

    pub async fn expect_open(&mut self) -> Open {
        match self.expect().await {
            (0, Performative::Open(open), _) => *open,
            other => panic!("not open on channel 0: {other:?}"),
        }
    }

    pub async fn expect_begin(&mut self) -> (u16, Begin) {
        match self.expect().await {
            (channel, Performative::Begin(begin), _) => (channel, *begin),
            other => panic!("not begin: {other:?}"),
        }
    }

    pub async fn expect_attach(&mut self) -> Attach {
        match self.expect().await {
            (_, Performative::Attach(attach), _) => *attach,
            other => panic!("not attach: {other:?}"),
        }
    }

    pub async fn expect_flow(&mut self) -> Flow {
        match self.expect().await {
            (_, Performative::Flow(flow), _) => flow,
            other => panic!("not flow: {other:?}"),
        }
    }

    pub async fn expect_transfer(&mut self) -> (Transfer, Bytes) {
        match self.expect().await {
            (_, Performative::Transfer(transfer), payload) => (transfer, payload),
            other => panic!("not transfer: {other:?}"),
        }
    }

    pub async fn expect_disposition(&mut self) -> Disposition {
        match self.expect().await {
            (_, Performative::Disposition(disposition), _) => disposition,
            other => panic!("not disposition: {other:?}"),
        }
    }

    pub async fn expect_detach(&mut self) -> Detach {
        match self.expect().await {
            (_, Performative::Detach(detach), _) => detach,
            other => panic!("not detach: {other:?}"),
        }
    }

    pub async fn expect_end(&mut self) -> End {
        match self.expect().await {
            (_, Performative::End(end), _) => end,
            other => panic!("not end: {other:?}"),
        }
    }

    pub async fn expect_close(&mut self) -> Close {
        match self.expect().await {
            (0, Performative::Close(close), _) => close,
            other => panic!("not close on channel 0: {other:?}"),
        }
    }

    /// A detach with this error, whose handle is handed back.
    pub async fn expect_detach_with(&mut self, condition: Symbol) -> Detach {
        let detach = self.expect_detach().await;
        let error = detach.error.as_ref().expect("an error");
        assert_eq!(error.condition, condition, "{error:?}");
        assert!(detach.closed);
        detach
    }

    pub async fn expect_end_with(&mut self, condition: Symbol) {
        let error = self.expect_end().await.error.expect("an error");
        assert_eq!(error.condition, condition, "{error:?}");
    }

    /// A close with this error, and after the answer the end of the stream.
    pub async fn expect_close_with(&mut self, condition: Symbol) {
        let error = self.expect_close().await.error.expect("an error");
        assert_eq!(error.condition, condition, "{error:?}");
        // Its cause may have made the stream unreadable, so it may be ended already.
        let answer = encode(0, &Close::default().into(), b"");
        let _ = self.stream.write_all(&answer).await;
        let _ = self.stream.shutdown().await;
        self.expect_eof().await;
    }

    /// Nothing is said for a while; the connection stays up.
    pub async fn expect_nothing(&mut self) {
        if let Ok(frame) = timeout(SILENCE, self.read_frame()).await {
            panic!("not silence: {frame:?}");
        }
    }

    /// The stream ends without another frame.
    pub async fn expect_eof(&mut self) {
        assert_eq!(self.next_frame().await, None);
    }

    // ---- longer exchanges

    /// Answers a begin of ours; gives back the channel that it came on.
    pub async fn answer_begin(&mut self, begin: Begin) -> u16 {
        let (channel, _) = self.expect_begin().await;
        self.send(Begin {
            remote_channel: Some(channel),
            ..begin
        })
        .await;
        channel
    }

    /// Begins a session with a listener of ours, which answers.
    pub async fn begin_session(&mut self) {
        self.send(begin()).await;
        let (_, answer) = self.expect_begin().await;
        assert_eq!(answer.remote_channel, Some(CHANNEL));
    }

    /// Answers an attach of ours, and gives it back.
    pub async fn answer_attach(&mut self) -> Attach {
        let asked = self.expect_attach().await;
        self.send(answer_to(&asked)).await;
        asked
    }

    /// Answers our end.
    pub async fn answer_end(&mut self) {
        self.expect_end().await;
        self.send(End::default()).await;
    }

    /// Answers our detach as it came.
    pub async fn answer_detach(&mut self) -> Detach {
        let detach = self.expect_detach().await;
        self.send(Detach {
            handle: HANDLE,
            closed: detach.closed,
            error: None,
        })
        .await;
        detach
    }
}

/// One frame as octets.
pub fn encode(channel: u16, performative: &Performative, payload: &[u8]) -> BytesMut {
    let mut octets = BytesMut::new();
    let mark = frame::start(&mut octets, frame::TYPE_AMQP, channel);
    performative.encode(&mut Writer::new(&mut octets));
    octets.extend_from_slice(payload);
    frame::finish(&mut octets, mark);
    octets
}

/// The receiver's word that these deliveries are accepted and settled.
pub fn accept(first: u32, last: u32) -> Disposition {
    settle(first, last, amqp10::Outcome::Accepted)
}

/// The receiver's word that these deliveries are settled with this outcome.
pub fn settle(first: u32, last: u32, outcome: amqp10::Outcome) -> Disposition {
    Disposition {
        role: Role::Receiver,
        first,
        last: Some(last),
        settled: true,
        state: Some(outcome.into()),
        batchable: false,
    }
}

/// What our receiver says when it accepts one delivery.
pub fn accept_one(delivery_id: u32) -> Disposition {
    Disposition {
        last: None,
        ..accept(delivery_id, delivery_id)
    }
}

/// The peer closes its first link.
pub fn detach() -> Detach {
    Detach {
        handle: HANDLE,
        closed: true,
        error: None,
    }
}

/// The peer closes its first link for this reason.
pub fn detach_with(error: amqp10::AmqpError) -> Detach {
    Detach {
        error: Some(error),
        ..detach()
    }
}
