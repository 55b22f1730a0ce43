//! Futures of transactions and of the broker: dropped at any poll, a transaction happens as a whole or not at all.

use amqp10::broker::{Broker, BrokerOptions};
use amqp10::transaction::{Transaction, TransactionController, TransactionControllerOptions};

use super::*;

pub(super) const COVERED: Covered = Covered {
    file: file!(),
    futures: &[
        ("TransactionController::attach", attaching_a_controller),
        ("TransactionController::close", attaching_a_controller),
        ("TransactionController::declare", declaring),
        ("Transaction::send", posting_is_undone_with_the_transaction),
        (
            "Transaction::send_settled",
            posting_is_undone_with_the_transaction,
        ),
        ("Transaction::commit", a_commit_happens_as_a_whole),
        ("Transaction::rollback", a_rollback_happens_in_any_case),
    ],
};

struct Scene {
    broker: Broker,
    session: Session,
    controller: TransactionController,
    sender: Sender,
}

impl Scene {
    async fn new() -> Self {
        let broker = Broker::in_process(BrokerOptions::default()).await.unwrap();
        let options = ConnectionOptions::default();
        let connection = Connection::open_with_stream(broker.connect(), options);
        let connection = connection.await.unwrap();
        let session = connection.begin(SessionOptions::default()).await.unwrap();
        let options = TransactionControllerOptions::default();
        let controller = TransactionController::attach(&session, options)
            .await
            .unwrap();
        let sender = session.attach_sender("queue", SenderOptions::default());
        let sender = sender.await.unwrap();
        Self {
            broker,
            session,
            controller,
            sender,
        }
    }

    async fn declare(&self) -> Transaction {
        let declared = timeout(LONG, self.controller.declare()).await;
        declared.expect("an answer").unwrap()
    }

    /// Messages in the queue, once what was asked of the coordinator has been done.
    async fn depth(&self) -> usize {
        self.declare().await.rollback().await.unwrap();
        self.broker.depth("queue").unwrap_or(0)
    }
}

#[tokio::test]
async fn attaching_a_controller() {
    let scene = Scene::new().await;
    for polls in 0..MANY {
        let options = TransactionControllerOptions::default();
        let attaching = TransactionController::attach(&scene.session, options);
        let attached = poll_times(polls, attaching).await;
        scene.declare().await.rollback().await.unwrap();
        if let Some(attached) = attached {
            drop(poll_times(1, attached.unwrap().close()).await);
            assert!(polls > 0);
            return;
        }
    }
    panic!("never attached");
}

#[tokio::test]
async fn declaring() {
    let scene = Scene::new().await;
    for polls in 0..MANY {
        let declared = poll_times(polls, scene.controller.declare()).await;
        assert_eq!(scene.depth().await, 0);
        if declared.is_some() {
            return;
        }
    }
    panic!("never declared");
}

#[tokio::test]
async fn posting_is_undone_with_the_transaction() {
    let scene = Scene::new().await;
    for polls in 0..MANY {
        let transaction = scene.declare().await;
        let posted = poll_times(polls, transaction.send(&scene.sender, "x")).await;
        drop(poll_times(polls, transaction.send_settled(&scene.sender, "y")).await);
        timeout(LONG, transaction.rollback())
            .await
            .expect("an answer")
            .unwrap();
        assert_eq!(scene.depth().await, 0);
        if posted.is_some() {
            return;
        }
    }
    panic!("never posted");
}

#[tokio::test]
async fn a_commit_happens_as_a_whole() {
    let scene = Scene::new().await;
    let mut before = 0;
    for polls in 0..MANY {
        let transaction = scene.declare().await;
        assert!(
            transaction
                .send(&scene.sender, "x")
                .await
                .unwrap()
                .is_accepted()
        );
        assert!(
            transaction
                .send(&scene.sender, "y")
                .await
                .unwrap()
                .is_accepted()
        );
        let committed = poll_times(polls, transaction.commit()).await;
        let depth = scene.depth().await;
        assert!(
            depth == before || depth == before + 2,
            "{before}, then {depth}"
        );
        before = depth;
        if committed.is_some() {
            assert!(before >= 2);
            return;
        }
    }
    panic!("never committed");
}

#[tokio::test]
async fn a_rollback_happens_in_any_case() {
    let scene = Scene::new().await;
    for polls in 0..MANY {
        let transaction = scene.declare().await;
        assert!(
            transaction
                .send(&scene.sender, "x")
                .await
                .unwrap()
                .is_accepted()
        );
        let rolled_back = poll_times(polls, transaction.rollback()).await;
        assert_eq!(scene.depth().await, 0);
        if rolled_back.is_some() {
            return;
        }
    }
    panic!("never rolled back");
}
