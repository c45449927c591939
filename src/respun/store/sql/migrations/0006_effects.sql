-- What a request made, under a fingerprint of the request, so that its retry makes it no second time.
create table effects (
    fingerprint text primary key,
    at {float} not null,
    by_retry {bigint} not null,
    made text not null
);
create index effects_by_age on effects (at);

-- Answers to requests with a key of their own (Idempotency-Key); no status while the first is under way.
create table kept_answers (
    key text primary key,
    fingerprint text not null,
    worker text not null,
    at {float} not null,
    status {bigint},
    body text
);
create index kept_answers_by_age on kept_answers (at);
