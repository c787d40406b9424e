from typing import Literal, Optional, overload

from . import IoTDataPlane, Lambda, SecretsManager

@overload
def client(client_type: Literal['lambda'], endpoint: str = ..., port: Optional[int] = ...) -> Lambda.Client: ...
@overload
def client(client_type: Literal['iot-data']) -> IoTDataPlane.Client: ...
@overload
def client(client_type: Literal['secretsmanager']) -> SecretsManager.Client: ...
