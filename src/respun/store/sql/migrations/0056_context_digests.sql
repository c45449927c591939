-- Digests of what long threads said before their windows, one a model: `text` covers the entries of the index up to
-- `upto`, and is to cover those up to `target`. `prompt` and `completion` are tokens that making it took so far.
create table context_digests (
    context {bigint} not null,
    model text not null,
    target {bigint} not null,
    upto {bigint} not null default 0,
    text text not null default '',
    tokens {bigint} not null default 0,
    prompt {bigint} not null default 0,
    completion {bigint} not null default 0,
    tries {bigint} not null default 0,
    error text not null default '',
    owner text,
    lease_until {float} not null default 0,
    primary key (context, model)
);
create index context_digests_due on context_digests (lease_until) where upto < target and tries < 3;
