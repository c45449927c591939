-- Vectors of the entries of long threads, where runs ask for them: whole numbers of one byte, 127 for 1, those of an
-- entry's passages one after the other.
create table context_vectors (
    context {bigint} not null,
    n {bigint} not null,
    vectors {blob} not null,
    primary key (context, n)
);

-- Indexes that have vectors, up to entry `upto`. `wanted`: there may be entries behind it.
create table context_meanings (
    context {bigint} primary key,
    model text not null,
    dims {bigint} not null,
    upto {bigint} not null,
    wanted {bigint} not null,
    owner text,
    lease_until {float} not null
);
create index context_meanings_wanted on context_meanings (lease_until) where wanted = 1;
