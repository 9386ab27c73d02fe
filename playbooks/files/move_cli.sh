#!/bin/sh
# redis-cli with commands from standard input. The password of the operator, if there is one, comes first, and is in no argument
if [ -r /etc/ambassador/operator ]; then
    cat /etc/ambassador/operator - | redis-cli --user operator --askpass "$@"
else
    redis-cli "$@"
fi
