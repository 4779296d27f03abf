"""pgJDBC."""

from urllib.parse import unquote, urlsplit

from tests.end_to_end import rig, tools


class Pgjdbc(rig.DriverTest):
    steps = ("connect", "prepared", "electrify", "rollback", "refused", "recovery", "copy", "pipeline", "cursor",
             "cancel", "simple")

    @classmethod
    def find_tools(cls):
        cls.command = [*tools.java(), rig.driver("PgjdbcDriver.java")]

    def variables(self, entrance):
        url = urlsplit(self.url(entrance))
        return {"JDBC_URL": f"jdbc:postgresql://{url.hostname}:{url.port}{url.path}?ApplicationName=end-to-end",
                "PGUSER": unquote(url.username), "PGPASSWORD": unquote(url.password)}
