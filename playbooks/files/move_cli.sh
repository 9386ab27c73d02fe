#!/bin/sh
# redis-cli with commands from standard input; where there is an operator's password, it comes first, and is in no argument
if [ -r /etc/ambassador/operator ]; then
    cat /etc/ambassador/operator - | redis-cli --user operator --askpass "$@"
else
    redis-cli "$@"
fi
