//! The chain of AWS credentials, with servers on loopback that play AWS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use milena_core::{ErrorKind, Timestamp, WallClock};
use milena_security::aws::{
    AwsChain, AwsChainBuilder, AwsCredentialProvider, MskTokenProvider, Region,
};
use milena_security::tls::TlsConfig;
use milena_security::token::TokenProvider;

use crate::bed::Ca;
use crate::web::{Web, answer};

/// 2027-01-15, 08:00.
const NOW: i64 = 1_800_000_000_000;

/// A chain that sees nothing but `variables`, in the year 2027.
fn chain(variables: &[(&str, &str)]) -> AwsChainBuilder {
    let tls = TlsConfig::builder()
        .roots(Ca::root("root").roots())
        .build()
        .unwrap();
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let variables: BTreeMap<_, _> = variables.iter().map(own).collect();
    AwsChain::builder(tls)
        .allow_http_to_loopback()
        .clock(WallClock::new(|| Timestamp::from_millis(NOW)))
        .variables(move |name| variables.get(name).cloned())
}

fn json(id: &str, token: &str, expiration: &str) -> String {
    format!(
        r#"{{"Code":"Success","AccessKeyId":"{id}","SecretAccessKey":"canary","{token}":"session","Expiration":{expiration}}}"#
    )
}

const NINE: &str = r#""2027-01-15T09:00:00Z""#;

async fn refused(chain: AwsChainBuilder) -> String {
    let error = chain.build().unwrap().credentials().await.unwrap_err();
    let text = format!("{error:?}");
    assert!(!text.contains("canary"), "{text}");
    text
}

#[tokio::test]
async fn variables_come_first() {
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("AWS_SESSION_TOKEN", "session"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/file"),
    ];
    let found = chain(&variables)
        .build()
        .unwrap()
        .credentials()
        .await
        .unwrap();
    assert_eq!(found.access_key_id, "AKID");
    assert_eq!(found.session_token, Some("session".into()));
    assert!(!format!("{found:?}").contains("canary"));
    let text = refused(chain(&variables[..1])).await;
    assert!(text.contains("AWS_SECRET_ACCESS_KEY is not"), "{text}");
}

#[tokio::test]
async fn a_web_identity_is_exchanged_at_the_token_service() {
    let inner = json("ASIA", "SessionToken", "1.8000036E9");
    let body = format!(
        r#"{{"AssumeRoleWithWebIdentityResponse":{{"AssumeRoleWithWebIdentityResult":{{"Credentials":{inner}}}}}}}"#
    );
    let web = Web::start(move |_| answer(200, &body)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "signed.by.cluster").unwrap();
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/app"),
        ("AWS_ROLE_SESSION_NAME", "billing"),
    ];
    let found = chain(&variables)
        .sts_endpoint(web.url("/"))
        .build()
        .unwrap();
    let found = found.credentials().await.unwrap();
    assert_eq!(found.access_key_id, "ASIA");
    assert_eq!(found.expires, Some(Timestamp::from_millis(NOW + 3_600_000)));
    let request = web.requests().remove(0);
    assert!(
        request.contains("accept: application/json\r\n"),
        "{request}"
    );
    let form = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fapp&RoleSessionName=billing&WebIdentityToken=signed.by.cluster";
    assert!(request.ends_with(form), "{request}");

    let denied = Web::start(|_| answer(403, "canary")).await;
    let text = refused(chain(&variables).sts_endpoint(denied.url("/"))).await;
    assert!(text.contains("trust policy"), "{text}");
    let text = refused(chain(&variables)).await;
    assert!(text.contains("AWS_REGION"), "{text}");
    let text = refused(chain(&variables[..1])).await;
    assert!(text.contains("AWS_ROLE_ARN is not"), "{text}");
}

#[tokio::test]
async fn a_profile_gives_keys_or_a_command_or_a_role() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(path(".aws")).unwrap();
    let keys = "[default]\naws_access_key_id = AKID\naws_secret_access_key = canary\n[half]\naws_access_key_id = X\n";
    std::fs::write(path(".aws/credentials"), keys).unwrap();
    let script = path("script");
    std::fs::write(&script, json("FROM-COMMAND", "SessionToken", NINE)).unwrap();
    let config = format!(
        "[profile command]\ncredential_process = cat \"{script}\"\n[profile sso]\nsso_session = x\n[profile role]\nrole_arn = arn\nsource_profile = default\n[profile empty]\nregion = x\n"
    );
    std::fs::write(path(".aws/config"), config).unwrap();
    let home = path("");
    let of = |profile: &'static str| {
        let all = [
            ("HOME", home.as_str()),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_PROFILE", profile),
        ];
        chain(if profile.is_empty() { &all[..2] } else { &all })
    };
    let id = async |profile| {
        of(profile)
            .build()
            .unwrap()
            .credentials()
            .await
            .unwrap()
            .access_key_id
    };
    assert_eq!(id("").await, "AKID");
    #[cfg(unix)]
    assert_eq!(id("command").await, "FROM-COMMAND");
    for (profile, reason) in [
        ("half", "no aws_secret_access_key"),
        ("sso", "sso_session"),
        ("role", "role_arn"),
        ("missing", "profile missing"),
        ("empty", "no AWS credentials were found"),
    ] {
        let text = refused(of(profile)).await;
        assert!(text.contains(reason), "{profile}: {text}");
    }
}

#[tokio::test]
async fn a_container_endpoint_is_asked_with_its_token() {
    let web = Web::start(|_| answer(200, &json("CONTAINER", "Token", NINE))).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "pod-token").unwrap();
    let relative = [(
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "/v2/credentials/1",
    )];
    let found = chain(&relative)
        .container_endpoint(web.url("/"))
        .build()
        .unwrap();
    let found = found.credentials().await.unwrap();
    assert_eq!(found.access_key_id, "CONTAINER");
    assert_eq!(found.session_token, Some("session".into()));
    let full = format!("http://127.0.0.1:{}/v1/credentials", web.port());
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full.as_str()),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            file.to_str().unwrap(),
        ),
    ];
    chain(&variables)
        .build()
        .unwrap()
        .credentials()
        .await
        .unwrap();
    let requests = web.requests();
    assert!(
        requests[0].starts_with("GET /v2/credentials/1 "),
        "{}",
        requests[0]
    );
    assert!(
        requests[1].starts_with("GET /v1/credentials "),
        "{}",
        requests[1]
    );
    assert!(requests[1].contains("authorization: pod-token\r\n"));
    for elsewhere in ["http://192.0.2.1/x", "file:///etc/passwd"] {
        let text = refused(chain(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", elsewhere)])).await;
        assert!(text.contains("https"), "{text}");
    }
}

/// Plays the instance endpoint with a role and sessions.
fn instance(request: &str, credentials: &str) -> Vec<u8> {
    let session = request.contains("x-aws-ec2-metadata-token: session-1\r\n");
    let path = request.split(' ').take(2).collect::<Vec<_>>().join(" ");
    match path.as_str() {
        "PUT /latest/api/token" if request.contains("x-aws-ec2-metadata-token-ttl-seconds: ") => {
            answer(200, "session-1")
        }
        "GET /latest/meta-data/iam/security-credentials/" if session => answer(200, "app\n"),
        "GET /latest/meta-data/iam/security-credentials/app" if session => answer(200, credentials),
        _ => answer(401, "canary"),
    }
}

#[tokio::test]
async fn an_instance_endpoint_is_asked_in_a_session() {
    let web = Web::start(|request| instance(request, &json("INSTANCE", "Token", NINE))).await;
    let found = chain(&[]).instance_endpoint(web.url("/")).build().unwrap();
    let found = found.credentials().await.unwrap();
    assert_eq!(found.access_key_id, "INSTANCE");
    assert_eq!(found.expires, Some(Timestamp::from_millis(NOW + 3_600_000)));

    let failed =
        Web::start(|request| instance(request, r#"{"Code":"AssumeRoleUnauthorizedAccess"}"#));
    let text = refused(chain(&[]).instance_endpoint(failed.await.url("/"))).await;
    assert!(text.contains("cannot be assumed"), "{text}");
    let none = Web::start(|request| {
        let lists = request.starts_with("GET ");
        if lists {
            answer(404, "")
        } else {
            answer(200, "session-1")
        }
    });
    let text = refused(chain(&[]).instance_endpoint(none.await.url("/"))).await;
    assert!(text.contains("has no role"), "{text}");
    let old = Web::start(|_| answer(403, "canary"));
    let text = refused(chain(&[]).instance_endpoint(old.await.url("/"))).await;
    assert!(text.contains("status 403"), "{text}");
}

#[tokio::test]
async fn without_any_place_the_error_names_them() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(closed);
    let text = refused(chain(&[]).instance_endpoint(url)).await;
    assert!(text.contains("no AWS credentials were found"), "{text}");
    // Without the choice, no endpoint on this machine is asked.
    let tls = TlsConfig::builder()
        .roots(Ca::root("root").roots())
        .build()
        .unwrap();
    let strict = AwsChain::builder(tls).variables(|_| None);
    let strict = strict.instance_endpoint("http://127.0.0.1:1/".parse().unwrap());
    let error = strict.build().unwrap().credentials().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security);
}

#[tokio::test]
async fn credentials_are_kept_until_shortly_before_they_expire() {
    let (now, asked) = (Arc::new(AtomicI64::new(NOW)), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&asked);
    let web = Web::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => answer(200, &json("ONE", "Token", NINE)),
        1 => answer(200, &json("TWO", "Token", NINE)),
        _ => answer(500, ""),
    })
    .await;
    let time = Arc::clone(&now);
    let chain = chain(&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/")])
        .container_endpoint(web.url("/"))
        .clock(WallClock::new(move || {
            Timestamp::from_millis(time.load(Ordering::SeqCst))
        }))
        .build()
        .unwrap();
    let minutes = |minutes: i64| now.store(NOW + minutes * 60_000, Ordering::SeqCst);
    let id = async || chain.credentials().await.map(|found| found.access_key_id);
    // Many connections at once ask once.
    let all = tokio::join!(id(), id(), id());
    assert_eq!([all.0.unwrap(), all.1.unwrap(), all.2.unwrap()], ["ONE"; 3]);
    minutes(54);
    assert_eq!(id().await.unwrap(), "ONE");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    minutes(56);
    assert_eq!(id().await.unwrap(), "TWO");
    minutes(57);
    assert_eq!(
        id().await.unwrap(),
        "TWO",
        "the endpoint is down and the old ones are valid"
    );
    minutes(60);
    assert!(id().await.is_err());
}

#[tokio::test]
async fn a_token_for_msk_ends_with_credentials_that_live_for_ten_seconds() {
    let ten = r#""2027-01-15T08:00:10Z""#;
    let web = Web::start(move |request| instance(request, &json("INSTANCE", "Token", ten))).await;
    let chain = chain(&[]).instance_endpoint(web.url("/")).build().unwrap();
    let provider = MskTokenProvider::new(Region::new("eu-central-1").unwrap(), chain);
    let provider = provider.clock(WallClock::new(|| Timestamp::from_millis(NOW)));
    let token = provider.token().await.unwrap();
    assert_eq!(token.expires(), Timestamp::from_millis(NOW + 10_000));
}
