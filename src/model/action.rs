//! The MCP methods as actions, and the kinds of thing they reach.

use serde::{Deserialize, Serialize};

/// What kind of thing a request reaches behind a door.
///
/// An authorization resource in the `AuthZEN` sense; [`ResourceKind::Resource`] is the MCP resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// The server itself: handshakes, lists, liveness.
    Server,
    /// A tool, by name.
    Tool,
    /// A prompt, by name.
    Prompt,
    /// An MCP resource, by URI.
    Resource,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $method:literal => [$($kind:ident),+]),+ $(,)?) => {
        /// An MCP method that a client may send, over all supported revisions
        /// (2025-06-18, 2025-11-25, 2026-07-28 and the tasks extension).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[$doc])* $variant,)+
            /// A method that is not in the table. Always denied.
            Unknown,
        }

        impl Action {
            /// Every action but [`Action::Unknown`].
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The action for a JSON-RPC method; [`Action::Unknown`] when it is not in the table.
            pub fn from_method(method: &str) -> Self {
                match method {
                    $($method => Self::$variant,)+
                    _ => Self::Unknown,
                }
            }

            /// The JSON-RPC method; `"unknown"` for [`Action::Unknown`].
            pub const fn method(self) -> &'static str {
                match self {
                    $(Self::$variant => $method,)+
                    Self::Unknown => "unknown",
                }
            }

            /// The kinds of thing the method may reach; none for [`Action::Unknown`].
            pub const fn reaches(self) -> &'static [ResourceKind] {
                match self {
                    $(Self::$variant => &[$(ResourceKind::$kind),+],)+
                    Self::Unknown => &[],
                }
            }
        }
    };
}

actions! {
    /// Handshake of the 2025 revisions.
    Initialize = "initialize" => [Server],
    /// Discovery of revision 2026-07-28.
    Discover = "server/discover" => [Server],
    /// Liveness.
    Ping = "ping" => [Server],
    /// The list of tools; filtered for each subject.
    ToolsList = "tools/list" => [Server],
    /// A tool call, judged with its arguments.
    ToolsCall = "tools/call" => [Tool],
    /// The list of prompts.
    PromptsList = "prompts/list" => [Server],
    /// A prompt.
    PromptsGet = "prompts/get" => [Prompt],
    /// The list of resources.
    ResourcesList = "resources/list" => [Server],
    /// The list of resource templates.
    ResourceTemplatesList = "resources/templates/list" => [Server],
    /// A resource, by URI.
    ResourcesRead = "resources/read" => [Resource],
    /// A subscription to a resource (2025 revisions).
    ResourcesSubscribe = "resources/subscribe" => [Resource],
    /// The end of a subscription (2025 revisions).
    ResourcesUnsubscribe = "resources/unsubscribe" => [Resource],
    /// A stream of changes (2026-07-28); each URI in it is judged on its own.
    SubscriptionsListen = "subscriptions/listen" => [Server],
    /// The level of log messages (2025 revisions).
    LoggingSetLevel = "logging/setLevel" => [Server],
    /// Completion of an argument; discloses what the prompt or resource would.
    CompletionComplete = "completion/complete" => [Prompt, Resource],
    /// The state and result of a task; data of the tool that made it.
    TasksGet = "tasks/get" => [Tool],
    /// The result of a task (2025-11-25).
    TasksResult = "tasks/result" => [Tool],
    /// Input for a task (tasks extension).
    TasksUpdate = "tasks/update" => [Tool],
    /// The end of a task.
    TasksCancel = "tasks/cancel" => [Tool],
    /// The tasks of the subject (2025-11-25); filtered for each subject.
    TasksList = "tasks/list" => [Server],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_maps_back_to_its_action() {
        for &action in Action::ALL {
            assert_eq!(Action::from_method(action.method()), action);
            assert!(!action.reaches().is_empty());
        }
        assert_eq!(Action::from_method("tools/Call"), Action::Unknown);
        assert!(Action::Unknown.reaches().is_empty());
    }
}
