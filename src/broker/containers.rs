//! Which containers are connected, and the wish of some to be connected once (Z-040, Z-041).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::codec::{AmqpError, Fields, Open, Str, Symbol, Value, condition};
use crate::lock::lock;

/// What both sides say that know the wish.
pub(super) const SOLE_CONNECTION: Symbol = Symbol::from_static("sole-connection-for-container");

const ENFORCEMENT_POLICY: &str = "sole-connection-enforcement-policy";
const DETECTION_POLICY: Symbol = Symbol::from_static("sole-connection-detection-policy");

/// Every connection of the container counts, whatever it has said of itself.
const STRONG: u32 = 0;

/// What our open says of it.
pub(super) fn detection_policy() -> Fields {
    Fields::new().with(DETECTION_POLICY, STRONG)
}

/// What becomes of the second connection of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Enforcement {
    RefuseConnection,
    CloseExisting,
}

impl Enforcement {
    /// What a peer asks for; refusal, if it does not say how.
    fn wished_by(open: &Open) -> Result<Option<Self>, AmqpError> {
        if !open.desired_capabilities.contains(&SOLE_CONNECTION) {
            return Ok(None);
        }
        match open.properties.get(ENFORCEMENT_POLICY) {
            None | Some(Value::Null | Value::Uint(0)) => Ok(Some(Self::RefuseConnection)),
            Some(Value::Uint(1)) => Ok(Some(Self::CloseExisting)),
            Some(_) => Err(invalid(ENFORCEMENT_POLICY)),
        }
    }
}

/// The containers that are connected.
#[derive(Debug, Default)]
pub(super) struct Containers(Mutex<HashMap<Str, Vec<Member>>>);

#[derive(Debug)]
struct Member {
    connection: u64,
    wish: Option<Enforcement>,
    displaced: Arc<Notify>,
}

/// A connection's place among those of its container, which it gives up when this is dropped.
#[derive(Debug)]
pub(super) struct Membership {
    containers: Arc<Containers>,
    container_id: Str,
    connection: u64,
    displaced: Arc<Notify>,
}

impl Containers {
    /// Enters a connection. If the container wishes to be connected once, either its other connections are told to go, or
    /// this one is refused. The wish of the newcomer goes before those of the others.
    pub(super) fn enter(
        self: &Arc<Self>,
        connection: u64,
        open: &Open,
    ) -> Result<Membership, AmqpError> {
        let wish = Enforcement::wished_by(open)?;
        let mut containers = lock(&self.0);
        let members = containers.entry(open.container_id.clone()).or_default();
        let wished = wish.or_else(|| members.iter().find_map(|member| member.wish));
        match wished {
            Some(Enforcement::RefuseConnection) if !members.is_empty() => {
                return Err(invalid("container-id"));
            }
            Some(Enforcement::CloseExisting) => {
                members
                    .iter()
                    .for_each(|member| member.displaced.notify_one());
            }
            _ => {}
        }
        let displaced = Arc::new(Notify::new());
        members.push(Member {
            connection,
            wish,
            displaced: Arc::clone(&displaced),
        });
        Ok(Membership {
            containers: Arc::clone(self),
            container_id: open.container_id.clone(),
            connection,
            displaced,
        })
    }
}

impl Membership {
    /// Waits until another connection takes this one's place, and says so to the peer.
    pub(super) async fn displaced(&self) -> AmqpError {
        self.displaced.notified().await;
        let text = "another connection of this container was opened, which is to be the only one";
        let mut error = AmqpError::new(condition::RESOURCE_LOCKED, text);
        let enforcement = Symbol::from_static("sole-connection-enforcement");
        error.info.insert(enforcement, true);
        error
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut containers = lock(&self.containers.0);
        if let Some(members) = containers.get_mut(&self.container_id) {
            members.retain(|member| member.connection != self.connection);
            if members.is_empty() {
                containers.remove(&self.container_id);
            }
        }
    }
}

/// A field of the open that cannot stay as it is.
fn invalid(field: &'static str) -> AmqpError {
    let text = format!("the connection is not possible with this {field}");
    let mut error = AmqpError::new(condition::INVALID_FIELD, text);
    let field = Symbol::from_static(field);
    error
        .info
        .insert(Symbol::from_static("invalid-field"), field);
    error
}
