from .domain_walls import DomainRow as DomainRow
from .domain_walls import domain_table as domain_table
from .domain_walls import walls as walls
