import sys
from typing import overload

from .IoTDataPlane import Client as IoTDataClient
from .Lambda import Client as LambdaClient
from .SecretsManager import Client as SecretsManagerClient

if sys.version_info >= (3, 8):
    from typing import Literal
else:
    from typing_extensions import Literal

@overload
def client(client_type: Literal['iot-data']) -> IoTDataClient: ...
@overload
def client(client_type: Literal['lambda']) -> LambdaClient: ...
@overload
def client(client_type: Literal['secretsmanager']) -> SecretsManagerClient: ...
