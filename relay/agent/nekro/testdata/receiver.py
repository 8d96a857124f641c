"""A plugin's webhook as Nekro's manual teaches it: it verifies X-Hub-Signature-256 over the body, byte for byte.

Takes a secret from the environment, a port of the system's choice, and prints the port when it listens.
"""

import asyncio
import hashlib
import hmac
import json
import os
import socket

import uvicorn
from fastapi import FastAPI, HTTPException, Request

app = FastAPI()
secret = os.environ["RECEIVER_SECRET"].encode()
taken = []


def is_signed(body: bytes, header: str) -> bool:
    scheme, _, given = header.partition("=")
    wanted = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return scheme == "sha256" and hmac.compare_digest(wanted, given)


@app.post("/api/webhook/imrelay")
@app.post("/api/plugin/acme.chat/webhook/imrelay")
async def receive(request: Request):
    header = request.headers.get("X-Hub-Signature-256")
    if not header:
        raise HTTPException(status_code=400, detail="Missing signature")
    body = await request.body()
    if not is_signed(body, header):
        raise HTTPException(status_code=403, detail="Invalid signature")
    try:
        payload = await request.json()
    except json.JSONDecodeError:
        raise HTTPException(status_code=400, detail="Invalid JSON payload")
    if not payload.get("chat"):
        # What the manual's samples return on an error: FastAPI makes a list of it, under a 200.
        return {"status": "error", "message": "chat is missing"}, 400
    taken.append({"body": body.decode(), "event": request.headers.get("X-Relay-Event-Id")})
    if payload.get("slow"):
        return {"status": "accepted"}, 202
    return {"status": "success", "message": "received"}


@app.get("/taken")
async def show():
    return taken


async def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listener])


asyncio.run(main())
