-- What the server remembers about itself between starts.
create table settings (
    name text primary key,
    value text not null
);
