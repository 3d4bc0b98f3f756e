//! OAUTHBEARER (RFC 7628, KIP-255, KIP-342): a bearer token with extensions.

use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result, Timestamp};
use serde_json::{Map, Value, json};

use super::accounts::{Accounts, BearerRefusal};
use super::exchange::{
    AuthenticatedUser, ClientExchange, Refusal, ServerStep, Step, broken, shown,
};
use super::extensions::SaslExtensions;
use crate::secret::{CredentialId, Secret};
use crate::token::BearerToken;

/// The client's half of OAUTHBEARER.
pub struct OAuthClient {
    /// The token. It was checked to have only characters that a token may have.
    token: BearerToken,
    /// The reason of a refusal, once the broker sent one. The next answer ends the exchange.
    refused: Option<String>,
}

impl OAuthClient {
    /// Creates the half for one authentication with `token`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the token is empty or has characters that a token cannot have. The
    /// text does not show it.
    pub fn new(token: BearerToken) -> Result<Self> {
        if !is_token(token.value().expose()) {
            let text = "the bearer token is empty, or has characters that no token has: check what \
                        the token provider returns";
            return Err(Error::new(ErrorKind::Config, text));
        }
        Ok(Self {
            token,
            refused: None,
        })
    }
}

impl ClientExchange for OAuthClient {
    fn start(&mut self) -> Secret {
        let mut message = b"n,,\x01auth=Bearer ".to_vec();
        message.reserve(self.token.value().len() + 512);
        message.extend_from_slice(self.token.value().expose());
        message.push(SEPARATOR);
        for (name, value) in self.token.extensions().iter() {
            message.extend_from_slice(name.as_bytes());
            message.push(b'=');
            message.extend_from_slice(value.as_bytes());
            message.push(SEPARATOR);
        }
        message.push(SEPARATOR);
        Secret::new(message)
    }

    fn step(&mut self, answer: &[u8]) -> Result<Step> {
        if let Some(reason) = self.refused.take() {
            return Err(broken(format!(
                "the broker refused the bearer token: {reason}"
            )));
        }
        if answer.is_empty() {
            return Ok(Step::Done);
        }
        // A refusal has error code 0 and a JSON text. The client has to answer with one byte, and
        // only then the broker says error 58.
        self.refused = Some(reason(answer));
        Ok(Step::Send(Secret::new(vec![SEPARATOR])))
    }

    fn credential(&self) -> CredentialId {
        self.token.value().id()
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.token.expires())
    }
}

/// Returns the reason in a broker's JSON, in one line.
fn reason(answer: &[u8]) -> String {
    let value: Value = serde_json::from_slice(answer).unwrap_or_default();
    let part = |name: &str| value.get(name).and_then(Value::as_str).map(shown);
    let status = part("status").unwrap_or_else(|| "no reason given".to_owned());
    match part("scope") {
        Some(scope) => format!("{status}, the broker asks for scope {scope:?}"),
        None => status,
    }
}

/// The server's half of OAUTHBEARER.
pub struct OAuthServer {
    /// The tokens.
    accounts: Arc<dyn Accounts>,
    /// The state of the exchange.
    state: OAuthState,
}

enum OAuthState {
    /// Nothing was received yet.
    First,
    /// The token was refused with this JSON, and the client has to say that it read it.
    Refused(String),
    /// The peer was accepted or refused.
    Over,
}

impl OAuthServer {
    /// Creates the half for one authentication.
    #[must_use]
    pub fn new(accounts: Arc<dyn Accounts>) -> Self {
        Self {
            accounts,
            state: OAuthState::First,
        }
    }

    /// Takes the next message of the client.
    pub fn step(&mut self, message: &[u8]) -> ServerStep {
        match std::mem::replace(&mut self.state, OAuthState::Over) {
            OAuthState::First => self.check(message),
            OAuthState::Refused(json) if message == [SEPARATOR] => {
                ServerStep::Refused(Refusal::new(json))
            }
            OAuthState::Refused(_) | OAuthState::Over => ServerStep::Refused(Refusal::new(
                "Authentication failed: the OAUTHBEARER exchange is over",
            )),
        }
    }

    /// Checks the token of the first message.
    fn check(&mut self, message: &[u8]) -> ServerStep {
        let Some(request) = TokenMessage::read(message) else {
            return ServerStep::Refused(Refusal::new(
                "Authentication failed: Invalid OAUTHBEARER client first message",
            ));
        };
        let account = match self.accounts.bearer(&request.token, &request.extensions) {
            Ok(account) => account,
            Err(refusal) => return self.refuse(&refusal),
        };
        if request
            .acting
            .is_some_and(|acting| acting != account.principal)
        {
            return ServerStep::Refused(Refusal::new(
                "Authentication failed: Client requested an authorization id that is different from the token's principal name",
            ));
        }
        let mut user = AuthenticatedUser::new(account.principal);
        user.expires = account.expires;
        ServerStep::Accepted {
            answer: Vec::new(),
            user,
        }
    }

    fn refuse(&mut self, refusal: &BearerRefusal) -> ServerStep {
        let mut fields = Map::new();
        fields.insert("status".to_owned(), json!(refusal.status));
        if let Some(scope) = &refusal.scope {
            fields.insert("scope".to_owned(), json!(scope));
        }
        if let Some(address) = &refusal.openid_configuration {
            fields.insert("openid-configuration".to_owned(), json!(address));
        }
        let text = Value::Object(fields).to_string();
        self.state = OAuthState::Refused(text.clone());
        ServerStep::Challenge(text.into_bytes())
    }
}

/// The first message of a client, read.
struct TokenMessage {
    /// The user for whom the client acts. `None` names nobody.
    acting: Option<String>,
    /// The token.
    token: Secret,
    /// The pairs beside the token.
    extensions: SaslExtensions,
}

impl TokenMessage {
    /// Reads a message. `None` if it breaks the grammar.
    fn read(message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?;
        let (header, rest) = text.split_once('\x01')?;
        let acting = header.strip_prefix("n,")?.strip_suffix(',')?;
        let acting = match acting.strip_prefix("a=") {
            Some(name) => Some(super::attributes::unescape(name)?),
            None if acting.is_empty() => None,
            None => return None,
        };
        let pairs = rest.strip_suffix("\x01\x01")?;
        let mut token = None;
        let mut extensions = SaslExtensions::new();
        for pair in pairs.split('\x01') {
            let (name, value) = pair.split_once('=')?;
            if name == "auth" {
                let (scheme, value) = value.split_once(' ')?;
                let bearer = scheme.eq_ignore_ascii_case("bearer") && token.is_none();
                token = Some(value.trim()).filter(|token| bearer && is_token(token.as_bytes()));
                token?;
            } else {
                extensions = extensions.with(name, value).ok()?;
            }
        }
        Some(Self {
            acting,
            token: Secret::from(token?),
            extensions,
        })
    }
}

/// Returns true for the characters of `b64token` (RFC 6750).
fn is_token(bytes: &[u8]) -> bool {
    let allowed = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
    };
    !bytes.is_empty() && bytes.iter().all(allowed)
}

/// The byte between the parts of a message, and the answer to a refusal.
const SEPARATOR: u8 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sasl::BearerAccount;

    const TOKEN: &str = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";

    struct Tokens;

    impl Accounts for Tokens {
        fn bearer(
            &self,
            token: &Secret,
            extensions: &SaslExtensions,
        ) -> Result<BearerAccount, BearerRefusal> {
            if *token != Secret::from(TOKEN) {
                return Err(BearerRefusal {
                    scope: Some("kafka".into()),
                    ..BearerRefusal::default()
                });
            }
            let principal = extensions
                .value("logicalCluster")
                .unwrap_or("user@example.com");
            Ok(BearerAccount {
                principal: principal.to_owned(),
                expires: None,
            })
        }
    }

    fn server() -> OAuthServer {
        OAuthServer::new(Arc::new(Tokens))
    }

    fn client(token: &str) -> OAuthClient {
        OAuthClient::new(BearerToken::new(token, Timestamp::from_millis(9))).unwrap()
    }

    #[test]
    fn the_example_of_rfc_7628_is_accepted() {
        // Section 4.1 of the RFC.
        let message = format!(
            "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer {TOKEN}\x01\x01"
        );
        let step = server().step(message.as_bytes());
        let ServerStep::Accepted { user, .. } = step else {
            panic!("{step:?}");
        };
        assert_eq!(user.principal, "user@example.com");
    }

    #[test]
    fn the_message_carries_the_extensions_behind_the_token() {
        let extensions = SaslExtensions::new()
            .with("logicalCluster", "lkc-1")
            .unwrap();
        let token = BearerToken::new(TOKEN, Timestamp::from_millis(9)).with_extensions(extensions);
        let mut client = OAuthClient::new(token).unwrap();
        let message = client.start();
        let wanted = format!("n,,\x01auth=Bearer {TOKEN}\x01logicalCluster=lkc-1\x01\x01");
        assert_eq!(message.text().unwrap(), wanted);
        let step = server().step(message.expose());
        assert!(matches!(step, ServerStep::Accepted { user, .. } if user.principal == "lkc-1"));
        assert!(matches!(client.step(b"").unwrap(), Step::Done));
    }

    #[test]
    fn a_refused_token_is_answered_with_one_byte_before_it_fails() {
        let (mut client, mut server) = (client("wrong"), server());
        let ServerStep::Challenge(challenge) = server.step(client.start().expose()) else {
            panic!("no challenge");
        };
        let Step::Send(answer) = client.step(&challenge).unwrap() else {
            panic!("the client has to answer");
        };
        assert_eq!(answer.expose(), [1]);
        let ServerStep::Refused(refusal) = server.step(answer.expose()) else {
            panic!("not refused");
        };
        assert!(
            refusal.text().contains(r#""status":"invalid_token""#),
            "{refusal}"
        );
        let error = client.step(b"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Security);
        let text = error.to_string();
        assert!(
            text.contains("invalid_token") && text.contains("kafka"),
            "{text}"
        );
        assert!(!text.contains("wrong"), "{text}");
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_refused_before_the_wire() {
        for token in ["", "a b", "a\x01b", "é", "a\n"] {
            let token = BearerToken::new(token, Timestamp::from_millis(9));
            assert!(OAuthClient::new(token).is_err());
        }
    }

    #[test]
    fn a_broken_message_is_refused() {
        for message in [
            "",
            "n,,",
            "n,,\x01\x01",
            "n,,\x01auth=Bearer \x01\x01",
            "n,,\x01auth=Basic abc\x01\x01",
            "n,,\x01auth=Bearer abc\x01",
            "n,,\x01auth=Bearer abc\x01auth=Bearer abc\x01\x01",
            "n,,\x01auth=Bearer abc\x01x9=1\x01\x01",
            "y,,\x01auth=Bearer abc\x01\x01",
            "n,root,\x01auth=Bearer abc\x01\x01",
        ] {
            assert!(
                matches!(server().step(message.as_bytes()), ServerStep::Refused(_)),
                "{message:?}"
            );
        }
        let acting = format!("n,a=root,\x01auth=Bearer {TOKEN}\x01\x01");
        assert!(matches!(
            server().step(acting.as_bytes()),
            ServerStep::Refused(_)
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_half_panic(first in any::<Vec<u8>>(), then in any::<Vec<u8>>()) {
            let mut one = client("token");
            let _ = one.step(&first);
            let _ = one.step(&then);
            let mut other = server();
            let _ = other.step(&first);
            let _ = other.step(&then);
        }

        #[test]
        fn no_text_makes_the_server_panic(text in "n,(a=[a-z=,]{0,4})?,[\x01a-zA-Z= ]{0,40}") {
            let _ = server().step(text.as_bytes());
        }
    }
}
