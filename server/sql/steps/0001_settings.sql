-- The schema itself, what marks it as ours, and the settings of this installation.

CREATE SCHEMA electric;
COMMENT ON SCHEMA electric IS 'electric-tunnel: electrified tables and their migrations';

-- Which numbered steps have run. A step runs once; functions are replaced whenever they change.
CREATE TABLE electric.steps (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- `product` is the marker the installer looks for, `functions` the hash of the functions installed,
-- `cancel_key` (hex) what the secrets of cancel requests are derived from.
CREATE TABLE electric.settings (
    name  text PRIMARY KEY,
    value text NOT NULL
);

-- Three random UUIDs hold 366 random bits, made by the server's strong generator; the hash packs
-- them into 32 bytes.
INSERT INTO electric.settings (name, value) VALUES
    ('product', 'electric-tunnel'),
    ('functions', ''),
    ('cancel_key', encode(sha256(uuid_send(gen_random_uuid())
                                 || uuid_send(gen_random_uuid())
                                 || uuid_send(gen_random_uuid())), 'hex'));
