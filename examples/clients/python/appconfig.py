"""Keeps a key-value, with nothing but AZURE_APPCONFIGURATION_CONNECTIONSTRING."""

import os
import uuid

from azure.appconfiguration import AzureAppConfigurationClient, ConfigurationSetting

word = str(uuid.uuid4())
store = AzureAppConfigurationClient.from_connection_string(os.environ["AZURE_APPCONFIGURATION_CONNECTIONSTRING"])
store.set_configuration_setting(ConfigurationSetting(key="python-" + word, value=word))
assert store.get_configuration_setting("python-" + word).value == word
store.delete_configuration_setting("python-" + word)
