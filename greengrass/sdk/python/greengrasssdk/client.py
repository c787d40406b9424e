"""`client(name)`: one of the services that a function can reach on the core."""


def client(client_type, *args, **kwargs):
    """`lambda`, `iot-data` or `secretsmanager`. Any other name is a ValueError."""
    if client_type == 'lambda':
        from .Lambda import Client
    elif client_type == 'iot-data':
        from .IoTDataPlane import Client
    elif client_type == 'secretsmanager':
        from .SecretsManager import Client
    elif client_type == 'streammanager':
        raise ValueError('There is no stream manager in this SDK: bundle AWS\'s greengrasssdk 1.6.1 for its client.')
    else:
        raise ValueError('Invalid client name: "{}". Use lambda, iot-data or secretsmanager.'.format(client_type))
    return Client(*args, **kwargs)
