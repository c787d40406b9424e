"""The core's IPC, as Amazon's SDKs and connectors import it."""
from greengrass_ipc_python_sdk.ipc_client import IPCClient

__all__ = ['IPCClient']
