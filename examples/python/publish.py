#!/usr/bin/env python3
"""Publish a job to ackord over AMQP, from any program that can speak to RabbitMQ.

    python3 publish.py synthesis '{"topic": "leases"}' --message-id order-4711

The broker is named by --url or AMQP_URL, or in parts by AMQP_HOST, AMQP_PORT, AMQP_USER, AMQP_PASSWORD, AMQP_VHOST.

Exit codes: 0 the broker has the message safely, 1 it has not (publish again, with the same message id),
2 it never will like this (a wrong kind, JSON, URL or permission).
"""

import argparse
import json
import os
import sys
import uuid

import pika
import pika.exceptions

EXCHANGE = "ackord.publish"


class Refused(Exception):
    """It will not work like this: publishing again does not help."""


def parameters(url):
    """Where the broker is."""
    if url:
        try:
            return pika.URLParameters(url)
        except ValueError as error:
            raise Refused(f"{url.split('@')[-1]} is no AMQP URL: {error}") from error
    user, password = os.environ.get("AMQP_USER", "guest"), os.environ.get("AMQP_PASSWORD", "guest")
    return pika.ConnectionParameters(
        host=os.environ.get("AMQP_HOST", "localhost"),
        port=int(os.environ.get("AMQP_PORT", "5672")),
        virtual_host=os.environ.get("AMQP_VHOST", "/"),
        credentials=pika.PlainCredentials(user, password),
    )


def properties(arguments):
    """What makes a message a job."""
    headers = {"x-schema-version": arguments.schema_version}
    if arguments.traceparent:
        headers["traceparent"] = arguments.traceparent
    return pika.BasicProperties(
        # The same id again is the same job: publishing twice after a lost answer does no harm.
        message_id=arguments.message_id,
        type=arguments.kind,
        content_type="application/json",
        delivery_mode=2,  # persistent
        headers=headers,
    )


def publish(channel, arguments):
    """Publish one message and wait until the broker has it."""
    # Mandatory: a message that reaches no queue comes back instead of vanishing.
    channel.basic_publish(
        exchange=EXCHANGE,
        routing_key=arguments.kind,
        body=arguments.payload.encode("utf-8"),
        properties=properties(arguments),
        mandatory=True,
    )


def check_kind(connection, kind):
    """A message of an unknown kind would be kept as a dead letter; say so before it is sent."""
    channel = connection.channel()
    try:
        channel.queue_declare(f"ackord.{kind}", passive=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code == 404:
            raise Refused(f"there is no kind `{kind}` on this broker: {error.reply_text}") from error
        # Looking is not permitted; publishing may be.
        return
    channel.close()


def run(arguments):
    """Publish, or say why not."""
    connection = pika.BlockingConnection(parameters(arguments.url))
    try:
        check_kind(connection, arguments.kind)
        channel = connection.channel()
        channel.confirm_delivery()
        publish(channel, arguments)
    finally:
        if connection.is_open:
            connection.close()


def json_text(text):
    """The payload, from the command line or from stdin."""
    text = sys.stdin.read() if text == "-" else text
    try:
        json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"the payload is not JSON: {error}") from error
    return text


def parse(argv):
    """The command line."""
    parser = argparse.ArgumentParser(description="Publish a job to ackord over AMQP.")
    parser.add_argument("kind", help="the kind, such as synthesis")
    parser.add_argument("payload", type=json_text, help="JSON, or - for stdin")
    parser.add_argument("--url", default=os.environ.get("AMQP_URL"), help="amqp://USER:PASSWORD@HOST:PORT/VHOST")
    parser.add_argument("--message-id", help="your own id of this job; the same id again is the same job")
    parser.add_argument("--schema-version", type=int, default=1, help="version of the payload's shape [default: 1]")
    parser.add_argument("--traceparent", help="W3C trace context that the job continues")
    arguments = parser.parse_args(argv)
    # Better one of your own that survives a restart: an id made here is another one after it.
    arguments.message_id = arguments.message_id or str(uuid.uuid4())
    return arguments


def main(argv=None):
    """Answer with the message id, or say what is wrong."""
    arguments = parse(argv)
    try:
        run(arguments)
    except Refused as error:
        return complain(2, str(error))
    except pika.exceptions.UnroutableError:
        return complain(2, f"no queue takes `{arguments.kind}`: has ackord made its queues here?")
    except pika.exceptions.NackError:
        return complain(1, "the broker did not take the message: publish it again, with the same message id")
    except pika.exceptions.ChannelClosedByBroker as error:
        return complain(2, f"the broker refused: {error.reply_text}")
    except (pika.exceptions.ProbableAuthenticationError, pika.exceptions.ProbableAccessDeniedError) as error:
        return complain(2, f"the broker does not let this user in: {error}")
    except (pika.exceptions.AMQPError, OSError) as error:
        return complain(1, f"the broker cannot be reached, or the connection broke: {error!r}; publish it again, "
                           "with the same message id")
    print(json.dumps({"message_id": arguments.message_id, "kind": arguments.kind}))
    return 0


def complain(code, text):
    """Say what is wrong on stderr."""
    print(f"publish.py: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
