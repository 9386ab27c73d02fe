"""The pattern as published: the link variable in the container's environment is what carries the traffic."""

from conftest import inspect


def test_inspect_shows_the_link_variable_with_the_address_of_vm1(vm1, vm2):
    address = vm1.check_output("ip -4 -o addr show dev eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'")
    assert f"REDIS_PORT_6379_TCP=tcp://{address}:6379" in inspect(vm2, "ambassador_client")["Config"]["Env"]


def test_the_server_side_forwards_to_the_backend(vm1):
    assert "REDIS_PORT_6379_TCP=tcp://redis_server:6379" in inspect(vm1, "ambassador_server")["Config"]["Env"]


def test_a_consumer_that_comes_and_goes_leaves_no_process_behind(vm2):
    for _ in range(20):
        assert vm2.check_output("docker exec redis_client redis-cli -h redis ping") == "PONG"
    # the listener alone remains, once the last fork has seen its connection end
    counted = "docker top ambassador_client -eo pid,args | grep -c ' socat -t [0-9]* TCP'"
    vm2.check_output(f"for i in $(seq 50); do [ $({counted}) = 1 ] && exit 0; sleep 0.1; done; exit 1")
