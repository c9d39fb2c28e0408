"""What moto lacks of the AWS that this project is deployed to. Needs moto; see moto_server.py."""
