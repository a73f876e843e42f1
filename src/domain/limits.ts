/** Every bound of the product in one place, unit last in each name. A queue, cache, body or loop without one is a bug. */
export const LIMITS = {
  // Requests at the edge
  requestBodyMaxBytes: 1_048_576,
  apiBodyMaxBytes: 16_384,
  routingDocumentMaxBytes: 67_108_864,
  /** Longer JSON is parsed in pieces of about this size, with turns of the event loop in between. */
  jsonSliceMaxChars: 65_536,
  /** What Envoy holds of one connection in each direction, of clients and of shards, before it reads no more. */
  connectionBufferMaxBytes: 32_768,
  requestHeadersMaxKilobytes: 32,
  requestHeadersMaxCount: 100,
  correlationIdMaxChars: 128,
  tracestateMaxBytes: 512,
  apiTimeoutMs: 15_000,
  upstreamTimeoutMs: 10_000,
  extAuthzTimeoutMs: 2_000,
  /**
   * After this a check is asked at another replica: a replica that hangs is noticed by health checks only seconds later.
   * Far more than the slowest answer of a busy one, the longest wait for a stamp included.
   */
  checkTryTimeoutMs: 1_000,
  /** How often a check that ended without an answer is asked again. */
  checkRetriesMaxCount: 3,
  extAuthzStreamsMaxCount: 10_000,
  /** How long a service that ends goes on serving until the Envoys have noticed: more than two of their health checks. */
  drainNoticeMaxMs: 5_000,

  // Decisions
  accessTokenMaxBytes: 4_096,
  verifiedTokensMaxCount: 50_000,
  checkRequestMaxBytes: 262_144,
  checkResponseMaxBytes: 65_536,
  stampWaitMaxMs: 50,
  stampWaitersMaxCount: 10_000,
  routingSnapshotsMaxCount: 20_000,
  routingSnapshotsMinAgeMs: 30_000,
  /** How far the clocks of two replicas may differ: a token may be this much younger than our own time. */
  clockSkewMaxSeconds: 30,
  tokenIdMaxChars: 64,
  principalsMaxCount: 2_000_000,
  assignmentsMaxCount: 4_000_000,
  rolesMaxCount: 10_000,
  revocationsMaxCount: 1_000_000,
  signingKeysMaxCount: 100,

  // Rate limits
  rateRequestsMaxCount: 10_000_000,
  rateWindowMaxMs: 86_400_000,
  /** Callers of one kind that have a bucket of their own, and the buckets that the rest shares. */
  rateBucketsMaxCount: 100_000,
  rateSharedBucketsCount: 1_024,
  limitRefusalsLoggedPerSecond: 100,

  // Routing documents and revisions
  tenantsMaxCount: 1_000_000,
  shardsPerKindMaxCount: 10_000,
  endpointsPerShardMaxCount: 1_000,
  endpointWeightMax: 1_000,
  routingErrorsMaxCount: 100,
  inlineChangesMaxCount: 100,
  revisionsKeptMaxCount: 1_000,
  noteMaxChars: 1_000,
  /** Newest revisions of which a replica remembers when it took them and who routed by them. */
  swapRecordsMaxCount: 1_000,
  /** Envoys whose acknowledgements an xds replica remembers, and rejections of each. */
  swapRecordNodesMaxCount: 1_000,
  swapRecordRejectionsMaxCount: 20,
  placementChunksCount: 256,
  /** One chunk, shard directory or manifest, before compression. */
  routingPartMaxBytes: 33_554_432,
  /** Up to this size a part is compressed by the thread that publishes: about a millisecond. */
  routingPartPackedAtOnceMaxBytes: 524_288,
  /** Reads or writes of parts under way at once. */
  routingPartsInFlightMaxCount: 32,
  routingLoadRetryMaxMs: 5_000,
  /** A round of garbage collection after so many revisions, if it would remove as many records. */
  routingGarbageEveryRevisionsCount: 512,
  /** It waits for so long a time without publications, but not for more than so many times as many revisions. */
  routingGarbageQuietMs: 1_000,
  routingGarbageOverdueRounds: 3,
  /** Reads of a round under way at once: few, because answers that come together are parsed in one go. */
  routingGarbageReadsInFlightMaxCount: 8,
  /** Publications of one process that wait for their turn, and how long one may: less than `apiTimeoutMs`. */
  publicationsWaitingMaxCount: 1_000,
  publicationWaitMaxMs: 10_000,
  /** Long work gives others a turn of the event loop when it has used so much of one; it looks after so many placements. */
  routingSliceMaxCount: 500,
  sliceMaxMs: 5,

  // Identity
  passwordMinChars: 8,
  passwordMaxBytes: 1_024,
  emailMaxChars: 254,
  hashQueueMaxCount: 64,
  hashTimeoutMs: 10_000,
  /**
   * Failed sign-ins on one account that may cost nothing, and how long one after many waits at most (NIST SP 800-63B-4,
   * 3.2.2). Of one address, who may be many, more may.
   */
  signInFailuresMaxCount: 100,
  addressFailuresMaxCount: 100_000,
  signInDelayMaxMs: 3_600_000,
  /** Time in which one failure is forgiven: of an account, and of a client, who may be many behind one address. */
  accountFailureForgivenMs: 7_200_000,
  clientFailureForgivenMs: 36_000,
  /** How long a client that signed in is known to the account, and after which part of that it is written down again. */
  knownClientLifetimeSeconds: 2_592_000,
  knownClientRefreshMs: 86_400_000,
  accessTokenLifetimeSeconds: 600,
  refreshTokenLifetimeSeconds: 2_592_000,
  sessionLifetimeSeconds: 7_776_000,
  emailVerificationLifetimeSeconds: 86_400,
  /** How long others may keep our key set: shorter than the time from publishing a key to signing with it. */
  jwksCacheSeconds: 300,
  pageDefaultCount: 50,
  pageMaxCount: 500,

  // Storage
  commitWritesMaxCount: 1_000,
  keyMaxBytes: 512,
  storageTimeoutMs: 5_000,
  conflictRetriesMaxCount: 5,
  replicaLeaseMs: 3_000,
  replicaAnnounceEveryMs: 1_000,
  appliedWaitMaxMs: 2_000,
  /** How long answers of replicas are waited for, and how large one may be. */
  replicaAnswerWaitMaxMs: 500,
  replicaAnswerMaxBytes: 1_048_576,

  // Shards
  upstreamConnectTimeoutMs: 1_000,
  shardConnectionsMaxCount: 1_024,
  shardRequestsMaxCount: 10_000,
  /** Of one HTTP/2 connection to a shard: streams at once, and how much of an answer is under way on each. */
  shardStreamsMaxCount: 100,
  shardStreamWindowBytes: 65_536,
  shardIdleConnectionMs: 4_000,
  /** Ranges of what a routing document may say of a shard (docs/routing.md). Smallest and largest. */
  connectTimeoutMinMs: 50,
  connectTimeoutMaxMs: 10_000,
  slowStartMinMs: 1_000,
  slowStartMaxMs: 600_000,
  healthIntervalMinMs: 100,
  healthIntervalMaxMs: 300_000,
  healthTimeoutMinMs: 50,
  healthTimeoutMaxMs: 60_000,
  healthThresholdMaxCount: 100,
  healthPathMaxChars: 1_024,
  healthServiceMaxChars: 255,
  /** X509-SVID section 2: no SPIFFE ID is longer. */
  identityUriMaxBytes: 2_048,
  outlierFailuresMaxCount: 1_000,
  outlierIntervalMinMs: 100,
  outlierIntervalMaxMs: 300_000,
  ejectionMinMs: 100,
  ejectionMaxMs: 3_600_000,
  breakerConnectionsMaxCount: 65_536,
  breakerRequestsMaxCount: 1_000_000,
  breakerRetriesMaxCount: 10_000,
  transcodedResponseMaxBytes: 4_194_304,

  // xDS
  xdsMessageMaxBytes: 33_554_432,
  /** Responses of one type an Envoy may leave unanswered before it is sent no more of it. */
  xdsResponsesInFlightMaxCount: 64,
  /** How long a reconnecting Envoy may take to say by which revision it routes before it is answered anyway. */
  xdsReconnectSettleMs: 500,
  /** Client status: one answer, how many are made at once, streams, and resources between two turns of the event loop. */
  clientStatusMaxBytes: 33_554_432,
  clientStatusAnswersMaxCount: 4,
  clientStatusStreamsMaxCount: 16,
  clientStatusSliceMaxCount: 50,
  clusterRemovalGraceMs: 5_000,
  nodeForgetAfterMs: 60_000,
  /** Quarantined shards a replica tells others of, and those its record in the store names; the metric counts all. */
  quarantinedToldMaxCount: 50,
  quarantinedStoredMaxCount: 500,
  quarantineErrorMaxChars: 500,
  /**
   * Questions to an Envoy about changed shards before they are published (docs/operations.md): what one may hold, how
   * long the process may take for all its runs, how many runs find the culprits, what is read of its output.
   */
  envoyValidationMaxBytes: 524_288,
  envoyValidationShardsMaxCount: 5_000,
  envoyValidationMaxMs: 3_000,
  envoyValidationRunsMaxCount: 100,
  envoyValidationOutputMaxBytes: 65_536,
  /** Validations that wait for the process, those a replica remembers, and verdicts about single shards it remembers. */
  envoyValidationsQueuedMaxCount: 8,
  envoyValidationsKeptMaxCount: 64,
  envoyVerdictsKeptMaxCount: 20_000,
  /** How long a publication waits for the verdict, and how often it looks. */
  envoyValidationWaitMaxMs: 3_500,
  envoyValidationPollEveryMs: 50,

  // Traces
  /** Ended spans that wait for the collector, and how many go at once; more are dropped and counted. */
  spansQueuedMaxCount: 4_096,
  spansBatchMaxCount: 512,
  spansExportEveryMs: 1_000,
  spansExportTimeoutMs: 2_000,
  /** What the end of a program waits for its last spans. */
  spansFlushMaxMs: 1_000,
  spanTextMaxChars: 256,

  // Logs
  /** A line of the access log that is read back: all headers in it, with every byte escaped, are shorter. */
  accessLogLineMaxBytes: 1_048_576,
} as const;
