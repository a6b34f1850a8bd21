"""The tests' own servers can be stopped, hung, killed and started again, and keep what they had."""

import signal
import socket
import time

import httpx
import psycopg
import pytest
import servers


def address(server):
    return server.url().replace("+psycopg", "") + "?connect_timeout=2"


def asked(server, what="SELECT 1"):
    with psycopg.connect(address(server), autocommit=True) as db:
        return db.execute(what).fetchone()


def test_a_server_that_was_killed_and_started_again_knows_what_was_committed():
    with servers.Postgres() as server:
        with psycopg.connect(address(server), autocommit=True) as db:
            db.execute("CREATE TABLE kept AS SELECT 7 AS n")
        server.stop(signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            asked(server)
        server.start()
        assert asked(server, "SELECT n FROM kept") == (7,)
        folder = server.folder
    assert not folder.exists()


def test_a_port_that_another_program_took_meanwhile_is_left_to_it():
    server = servers.Postgres()
    taken = server.port
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        with server:
            assert asked(server) == (1,)
            assert server.port != taken


def test_a_server_that_hangs_answers_nobody_until_it_goes_on(postgres):
    postgres.hang()
    try:
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            asked(postgres)
        assert time.monotonic() - began > 1.5
    finally:
        postgres.go_on()
    assert asked(postgres) == (1,)


def test_each_database_is_empty_and_gone_afterwards(postgres):
    with postgres.database() as one, postgres.database() as other:
        assert one != other
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(one.replace("+psycopg", ""))


def test_a_chroma_server_that_was_killed_and_started_again_has_its_collections():
    with servers.Chroma() as server:
        names = f"{server.url}/api/v2/tenants/default_tenant/databases/default_database/collections"
        httpx.post(names, json={"name": "kept"}).raise_for_status()
        server.stop(signal.SIGKILL)
        with pytest.raises(httpx.ConnectError):
            httpx.get(names)
        server.start()
        assert [one["name"] for one in httpx.get(names).json()] == ["kept"]
