//! The provider that walks the chain, and keeps what it found until shortly before it expires.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use milena_core::{Error, ErrorKind, Result, Timestamp, WallClock};
use tokio::sync::Mutex;

use super::environment::Variables;
use super::profile::{Profile, ProfileKind};
use super::sts::WebIdentity;
use super::{container, instance, reading, sts, web_identity};
use crate::aws::credentials::{AwsCredentialProvider, AwsCredentials};
use crate::aws::region::Region;
use crate::http::{HttpClient, HttpUrl};
use crate::secret::SecretSource;
use crate::tls::TlsConfig;

/// The credentials that the surroundings of a program give it: variables, web identity, profile
/// file, container endpoint, instance endpoint, in this order.
///
/// All connections share one request. Credentials are kept until 5 min before they expire. When
/// they cannot be renewed then, they serve until they expire. A clone shares them.
///
/// ```no_run
/// # fn example() -> milena_core::Result<()> {
/// use milena_security::aws::AwsChain;
/// use milena_security::sasl::Sasl;
/// use milena_security::tls::TlsConfig;
///
/// let chain = AwsChain::builder(TlsConfig::builder().build()?).build()?;
/// let sasl = Sasl::aws_msk_iam(None, chain);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AwsChain(Arc<Chain>);

struct Chain {
    /// The places and how they are reached.
    settings: AwsChainBuilder,
    /// The container endpoint for a relative address.
    container: HttpUrl,
    /// The instance endpoint.
    instance: HttpUrl,
    /// The last credentials. Locked while somebody asks for others.
    kept: Mutex<Option<AwsCredentials>>,
}

/// The settings of an [`AwsChain`].
#[derive(Clone, Debug)]
pub struct AwsChainBuilder {
    /// The client for https, and for http to the fixed addresses.
    http: HttpClient,
    /// The variables.
    variables: Variables,
    /// The clock that lifetimes are compared with.
    clock: WallClock,
    /// The region of the token service. `None` takes that of the surroundings.
    region: Option<Region>,
    /// The token service. `None` takes that of the region.
    sts: Option<HttpUrl>,
    /// The container endpoint for a relative address. `None` takes AWS's.
    container: Option<HttpUrl>,
    /// The instance endpoint. `None` takes AWS's.
    instance: Option<HttpUrl>,
}

impl AwsChainBuilder {
    /// Sets the region of the token service. Default: `AWS_REGION`, `AWS_DEFAULT_REGION`, or that
    /// of the profile.
    #[must_use]
    pub fn region(mut self, region: Region) -> Self {
        self.region = Some(region);
        self
    }

    /// Reads variables by `read`. Default: those of the process.
    #[must_use]
    pub fn variables(
        mut self,
        read: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.variables = Variables(Arc::new(read));
        self
    }

    /// Sets the clock that lifetimes are compared with. Default: the system clock.
    #[must_use]
    pub fn clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the token service, such as a VPC endpoint.
    #[must_use]
    pub fn sts_endpoint(mut self, url: HttpUrl) -> Self {
        self.sts = Some(url);
        self
    }

    /// Sets the host of the container endpoint.
    #[must_use]
    pub fn container_endpoint(mut self, url: HttpUrl) -> Self {
        self.container = Some(url);
        self
    }

    /// Sets the instance endpoint.
    #[must_use]
    pub fn instance_endpoint(mut self, url: HttpUrl) -> Self {
        self.instance = Some(url);
        self
    }

    /// Allows http to this machine, for a credential server that runs beside the program and for
    /// tests. Off by default.
    #[must_use]
    pub fn allow_http_to_loopback(mut self) -> Self {
        self.http = self.http.settings().allow_http_to_loopback().build();
        self
    }

    /// Makes the chain. Nothing is asked before credentials are needed.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if an endpoint is no address.
    pub fn build(self) -> Result<AwsChain> {
        let or = |chosen: &Option<HttpUrl>, fixed: &str| match chosen {
            Some(url) => Ok(url.clone()),
            None => fixed.parse(),
        };
        Ok(AwsChain(Arc::new(Chain {
            container: or(&self.container, "http://169.254.170.2/")?,
            instance: or(&self.instance, "http://169.254.169.254/")?,
            settings: self,
            kept: Mutex::new(None),
        })))
    }
}

impl AwsChain {
    /// Starts the settings of a chain that checks AWS's token service by `tls`.
    #[must_use]
    pub fn builder(tls: TlsConfig) -> AwsChainBuilder {
        let http = HttpClient::builder(tls)
            .allow_http_to_aws_link_local()
            .timeout(TIME);
        AwsChainBuilder {
            http: http.build(),
            variables: Variables::default(),
            clock: WallClock::default(),
            region: None,
            sts: None,
            container: None,
            instance: None,
        }
    }
}

impl AwsCredentialProvider for AwsChain {
    fn credentials(&self) -> BoxFuture<'_, Result<AwsCredentials>> {
        Box::pin(self.0.get())
    }
}

impl fmt::Debug for AwsChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsChain")
    }
}

impl Chain {
    /// Returns the kept credentials, or asks for others.
    async fn get(&self) -> Result<AwsCredentials> {
        let mut kept = self.kept.lock().await;
        let now = self.settings.clock.now();
        let left =
            |credentials: &AwsCredentials| credentials.expires.map(|expires| expires.since(now));
        // Keys without an end are read anew, since somebody may have replaced them in their file.
        if let Some(credentials) = &*kept
            && left(credentials).is_some_and(|left| left > EARLY)
        {
            return Ok(credentials.clone());
        }
        match self.find(now).await {
            Ok(found) => {
                *kept = Some(found.clone());
                Ok(found)
            }
            Err(error) => match &*kept {
                Some(old) if left(old).is_some_and(|left| !left.is_zero()) => {
                    tracing::warn!(error = %error, "AWS credentials could not be renewed, the old ones serve until they expire");
                    Ok(old.clone())
                }
                _ => Err(error),
            },
        }
    }

    /// Walks the chain.
    async fn find(&self, now: Timestamp) -> Result<AwsCredentials> {
        let settings = &self.settings;
        let variables = &settings.variables;
        if let Some(found) = variables.credentials()? {
            return Ok(found);
        }
        if let Some(role) = web_identity::role(variables)? {
            return self.assume(&role, None).await;
        }
        if let Some(found) = self.profile().await? {
            return Ok(found);
        }
        if let Some(found) = container::ask(variables, &settings.http, &self.container).await? {
            return Ok(found);
        }
        let found = instance::ask(variables, &settings.http, &self.instance).await?;
        let found = found.ok_or_else(|| {
            let text = "no AWS credentials were found in variables, web identity, profile files, \
                        container endpoint or instance endpoint: set AWS_ACCESS_KEY_ID and \
                        AWS_SECRET_ACCESS_KEY, or run where AWS gives a role";
            Error::new(ErrorKind::Config, text)
        })?;
        if found.expires.is_some_and(|expires| expires <= now) {
            let text =
                "the AWS instance endpoint gave credentials that are expired: compare the clocks";
            return Err(Error::new(ErrorKind::Security, text));
        }
        Ok(found)
    }

    /// Returns the credentials of the profile. `None` if there is no profile, or if it has none.
    async fn profile(&self) -> Result<Option<AwsCredentials>> {
        let variables = self.settings.variables.clone();
        let reading = tokio::task::spawn_blocking(move || Profile::read(&variables));
        let read = reading.await.map_err(|error| {
            Error::new(ErrorKind::Panicked, "reading AWS files panicked").with_source(error)
        })?;
        let Some(profile) = read? else {
            return Ok(None);
        };
        match profile.kind()? {
            None => Ok(None),
            Some(ProfileKind::Keys(keys)) => Ok(Some(keys)),
            Some(ProfileKind::WebIdentity(role)) => {
                self.assume(&role, profile.region()).await.map(Some)
            }
            Some(ProfileKind::Process(program, args)) => {
                let place = format!("the command {program}");
                let printed = SecretSource::command(program, args).read().await?;
                let value = serde_json::from_slice(printed.expose()).map_err(|_| {
                    let text = format!("{place} printed no JSON with AWS credentials");
                    Error::new(ErrorKind::Config, text)
                })?;
                reading::credentials(&value, "SessionToken", &place).map(Some)
            }
        }
    }

    /// Takes on a role. `of_profile` is the region that a profile names.
    async fn assume(&self, role: &WebIdentity, of_profile: Option<&str>) -> Result<AwsCredentials> {
        let settings = &self.settings;
        let endpoint = match &settings.sts {
            Some(endpoint) => endpoint.clone(),
            None => sts::endpoint(&self.region(of_profile)?)?,
        };
        role.credentials(&settings.http, &endpoint).await
    }

    /// Returns the region of the token service.
    fn region(&self, of_profile: Option<&str>) -> Result<Region> {
        if let Some(region) = &self.settings.region {
            return Ok(region.clone());
        }
        let variables = &self.settings.variables;
        let named = variables
            .value("AWS_REGION")
            .or_else(|| variables.value("AWS_DEFAULT_REGION"));
        let named = named
            .or_else(|| of_profile.map(str::to_owned))
            .ok_or_else(|| {
                let text = "the AWS region is unknown: set the region, or the variable AWS_REGION";
                Error::new(ErrorKind::Config, text)
            })?;
        Region::new(named)
    }
}

/// The time before their end at which credentials are renewed.
const EARLY: Duration = Duration::from_secs(300);
/// The time of one request.
const TIME: Duration = Duration::from_secs(5);
