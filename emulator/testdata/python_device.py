"""Runs the device SDK for Python, as it is, against an emulator.

Only where its sockets go is changed: Azure's host names and ports lead to the emulator's. What it did is one JSON object at the end.
Input, as JSON on standard input: data and mqtt (host:port), ca, scope, id, key, cert, certKey, certID, websockets.
"""
import json
import socket
import sys
import threading

given = json.load(sys.stdin)
places = {443: given["data"], 8883: given["mqtt"]}
find, connect = socket.getaddrinfo, socket.socket.connect


def lead(host, port, *rest, **named):
    return find("127.0.0.1" if str(host).endswith(".net") else host, port, *rest, **named)


def dial(self, address):
    if isinstance(address, tuple) and address[1] in places:
        host, port = places[address[1]].rsplit(":", 1)
        address = (host, int(port))
    return connect(self, address)


socket.getaddrinfo, socket.socket.connect = lead, dial

from azure.iot.device import IoTHubDeviceClient, Message, MethodResponse, ProvisioningDeviceClient, X509  # noqa: E402

ca = open(given["ca"]).read()
more = {"server_verification_cert": ca, "websockets": given["websockets"]}
host = "global.azure-devices-provisioning.net"
done = {}


def register(client):
    result = client.register()
    return [result.status, result.registration_state.sub_status, result.registration_state.assigned_hub]


def by_key():
    return ProvisioningDeviceClient.create_from_symmetric_key(host, given["id"], given["scope"], given["key"], **more)


done["register"] = register(by_key())
done["again"] = register(by_key())
x509 = X509(cert_file=given["cert"], key_file=given["certKey"])
done["x509"] = register(ProvisioningDeviceClient.create_from_x509_certificate(host, given["certID"], given["scope"], x509, **more))
try:
    register(ProvisioningDeviceClient.create_from_symmetric_key(host, given["id"], given["scope"], given["wrongKey"], **more))
except Exception as err:  # noqa: B902
    done["wrongKey"] = type(err).__name__ + ": " + str(err.__cause__ or err)

hub = done["register"][2]
client = IoTHubDeviceClient.create_from_symmetric_key(given["key"], hub, given["id"], **more)
came, got = threading.Semaphore(0), {}


def note(name, value):
    got[name] = value
    came.release()


def answer(call):
    client.send_method_response(MethodResponse.create_from_method_request(call, 200, {"echo": call.payload}))
    note("method", [call.name, call.payload])


client.on_message_received = lambda m: note("message", [m.data.decode(), m.message_id, m.custom_properties])
client.on_method_request_received = answer
client.on_twin_desired_properties_patch_received = lambda patch: note("desired", patch)
client.connect()
message = Message(json.dumps({"t": 21}), message_id="m 1", content_type="application/json", content_encoding="utf-8")
message.custom_properties["room"] = "boiler room"
client.send_message(message)
done["twin"] = client.get_twin()
client.patch_twin_reported_properties({"fan": True})
done["reported"] = client.get_twin()["reported"]
try:
    client.get_storage_info_for_blob("b")
except Exception as err:  # noqa: B902
    done["upload"] = type(err).__name__ + ": " + str(err.__cause__ or err)
print("ready " + hub, flush=True)
for _ in range(3):
    if not came.acquire(timeout=60):
        break
done["got"] = got
client.shutdown()
x509hub = IoTHubDeviceClient.create_from_x509_certificate(x509, done["x509"][2], given["certID"], **more)
x509hub.connect()
x509hub.send_message("from x509")
x509hub.shutdown()
print(json.dumps(done), flush=True)
