#!/bin/sh
# Installs telegram-test-api, a Bot API server that nobody here wrote, and tests the connector against it. Needs Go, Node 20
# or later, and npm. TELEGRAM_TEST_API names a folder that has the package in its node_modules already.
set -eu
cd "$(dirname "$0")/.."
if [ -z "${TELEGRAM_TEST_API:-}" ]; then
	TELEGRAM_TEST_API=$(mktemp -d)
	trap 'rm -rf "$TELEGRAM_TEST_API"' EXIT
	npm install --prefix "$TELEGRAM_TEST_API" --no-fund --no-audit --loglevel=error telegram-test-api@4.2.1
fi
export TELEGRAM_TEST_API
"${GO:-go}" test -count=1 -tags telegram_test_api -run '^TestRealServer' -v .
